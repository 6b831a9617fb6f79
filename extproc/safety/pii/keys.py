"""What keys of well-known services look like. Source: what each of them says, or prints."""

from collections.abc import Mapping
from types import MappingProxyType

from extproc.safety.pii import checks
from extproc.safety.pii.patterns import STRONG, WEAK, Pattern, Trigger

ASSIGNED = (
    "api[ _-]?key|secret[ _-]?key|secret|access[ _-]?token|auth[ _-]?token|client[ _-]?secret|"
    "password|passwd|pwd|passphrase|token|密码|口令|密钥|令牌"
)
USUAL_AROUND = (300, 300)
AROUND = {"jwt": (4096, 8192), "bearer": (64, 1100), "basic": (64, 600)}
"""Bytes before and after, where a key may be longer."""
KEYS = (
    ("openai", "sk-[A-Za-z0-9_-]{16}", "sk-[A-Za-z0-9_-]{20,250}", checks.some_digit),
    ("aws", "(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}", "(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}", checks.every),
    ("aws_secret", "(?i)secret_?access_?key", r"""(?i)secret_?access_?key["']?\s{0,2}[:=]\s{0,2}["']?([A-Z0-9/+]{40})[^A-Z0-9/+]""", checks.every),
    ("github", "gh[pousr]_[A-Za-z0-9]{30}", "gh[pousr]_[A-Za-z0-9]{36,255}", checks.every),
    ("github_pat", "github_pat_", "github_pat_[A-Za-z0-9_]{22,255}", checks.every),
    ("gitlab", "glpat-", "glpat-[A-Za-z0-9_-]{20,64}", checks.every),
    ("slack", "xox[abeprs]-", "xox[abeprs]-[A-Za-z0-9-]{10,250}", checks.every),
    ("slack_hook", r"hooks\.slack\.com/services/", r"https://hooks\.slack\.com/services/([A-Za-z0-9/]{20,80})", checks.every),
    ("stripe", "[srp]k_(?:live|test)_", "[srp]k_(?:live|test)_[A-Za-z0-9]{16,250}", checks.every),
    ("google", "AIza", "AIza[0-9A-Za-z_-]{35}", checks.every),
    ("jwt", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}", checks.every),
    ("huggingface", "hf_[A-Za-z0-9]{30}", "hf_[A-Za-z0-9]{30,64}", checks.every),
    ("npm", "npm_[A-Za-z0-9]{30}", "npm_[A-Za-z0-9]{36}", checks.every),
    ("pypi", "pypi-Ag", "pypi-Ag[A-Za-z0-9_-]{48,250}", checks.every),
    ("sendgrid", r"SG\.[A-Za-z0-9_-]{20}", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", checks.every),
    ("twilio", "(?:SK|AC)[0-9a-f]{32}", "(?:SK|AC)[0-9a-f]{32}", checks.every),
    ("telegram", "[0-9]{8}:[A-Za-z0-9_-]{35}", "[0-9]{8,10}:[A-Za-z0-9_-]{35}", checks.every),
    ("aliyun", "LTAI[A-Za-z0-9]{12}", "LTAI[A-Za-z0-9]{12,26}", checks.every),
    ("tencent", "AKID[A-Za-z0-9]{28}", "AKID[A-Za-z0-9]{28,36}", checks.every),
    ("bearer", "(?i)bearer [A-Za-z0-9._~+/-]{20}", "(?i:bearer) ([A-Za-z0-9._~+/-]{20,1000}=*)", checks.some_digit),
    ("basic", "(?i)basic [A-Za-z0-9+/]{12}", "(?i:authorization[\"']?: ?[\"']?basic) ([A-Za-z0-9+/]{12,512}=*)", checks.every),
)  # fmt: skip
"""Name, trigger, pattern, check."""

KEY_TRIGGERS: Mapping[str, Trigger] = MappingProxyType(
    {
        **{name: Trigger(trigger, *AROUND.get(name, USUAL_AROUND)) for name, trigger, _, _ in KEYS},
        "assigned": Trigger(rf"(?i)(?:{ASSIGNED})[\"']?\s?(?:[:=]|\xef\xbc\x9a|是|为|is )\s?\s?[\"']?[!#-&(-+\-./0-:<-_a-~]{{8}}", 64, 160),
    }
)  # fmt: skip
KEY_PATTERNS = (
    *(Pattern("api_key", name, expression, check, STRONG) for name, _, expression, check in KEYS),
    Pattern(
        "api_key",
        "assigned",
        rf"(?i)(?:{ASSIGNED})[\"']?\s?(?:[:=\x{{ff1a}}]|是|为|is )\s{{0,2}}[\"']?([!#-&(-+\-./0-:<-_a-~]{{8,128}})",
        checks.password,
        WEAK,
    ),
)
