"""What outlives a policy: what was learned, what was loaded, and the means to count."""

from engines.watch.messages import Used
from extproc.counting.counter import Threads
from extproc.counting.engine import EngineClient
from extproc.counting.estimate import Estimator
from extproc.counting.lengths import Lengths
from extproc.counting.mix import Mix
from extproc.counting.vocabulary import Vocabularies


class Lasting:
    """One for a worker, which closes it. Opens nothing before it is needed."""

    def __init__(self) -> None:
        self.threads = Threads()
        self.vocabularies = Vocabularies()
        self.lengths = Lengths()
        self.client = EngineClient()
        self._estimators: dict[str, Estimator] = {}

    def estimator(self, model: str) -> Estimator:
        """Find what was learned of a model; its name is the policy's, so these are few."""
        return self._estimators.setdefault(model, Estimator())

    def learn(self, used: Used) -> None:
        """Learn from what an engine has counted, whichever worker was told of it: 5 us, and 7 more for
        a prompt that was estimated."""
        if (mix := Mix.decode(used.mix)) is not None:
            self.estimator(used.model).learn(mix, used.prompt_tokens)
        if used.answer_tokens:
            self.lengths.learn(used.key_id, used.model, used.answer_tokens)

    async def close(self) -> None:
        self.threads.close()
        await self.client.close()
