"""An editor for tests: it makes texts loud, and holds back what comes after the last space."""


class Loud:
    def __init__(self, depth):
        self.depth, self._held = depth, ""

    @property
    def idle(self):
        return not self._held

    def feed(self, text):
        text = self._held + text
        done = text.rfind(" ") + 1
        self._held = text[done:]
        return text[:done].upper()

    def finish(self):
        rest, self._held = self._held, ""
        return rest.upper()


class Shouting:
    """`begun` are the depths of the texts that were begun."""

    def __init__(self, *, stands=False):
        self.stands, self.begun = stands, []

    def begin(self, depth):
        self.begun.append(depth)
        return Loud(depth)

    def may_change(self, raw):
        return True

    def may_stand(self, raw):
        return self.stands
