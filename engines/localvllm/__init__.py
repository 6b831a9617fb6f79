"""A real vLLM on this machine, without a GPU: what tests and `headgate up --vllm` run against.

install     the environment that vLLM lives in, apart from ours: `.vllm/`
model       a tiny Llama with random weights (`tokenizer` makes its tokens and chat template)
launch      the command line and environment of one server, and waiting until it is ready
"""
