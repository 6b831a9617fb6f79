"""What all parts of a policy are made of."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from extproc.errors import PolicyError
from extproc.policy.base import Digest, FullPath, Name, Secret, Strict, Url, Word, check_endpoint

DIGEST = "0123456789abcdef" * 4


class Sample(BaseModel):
    name: Name = "a"
    word: Word = "a"
    digest: Digest = DIGEST
    url: Url = None
    path: FullPath = None


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1:80", "127.0.0.1:1", "10.0.0.1:65535", "[::1]:80", "[2001:db8::1]:8000"],
)
def test_endpoints(text):
    assert check_endpoint(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "80",
        "10.0.0.1",
        "10.0.0.1:",
        ":80",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:-1",
        "10.0.0.1:+1",
        "10.0.0.1:80 ",
        " 10.0.0.1:80",
        "10.0.0.1:8_0",
        "10.0.0.1:\N{ARABIC-INDIC DIGIT EIGHT}",
        "10.0.0.1:\N{SUPERSCRIPT TWO}",
        "10.0.0.1:http",
        "10.0.0.1:80,10.0.0.2:80",
        "010.0.0.1:80",
        "10.1:80",
        "localhost:80",
        "engine.svc:80",
        "http://10.0.0.1:80",
        "10.0.0.1:80/v1",
        "::1:80",
        "::1]:80",
        "[::1]",
        "[::1]80",
        "[10.0.0.1]:80",
        "[]:80",
        "[[::1]]:80",
        "[fe80::1%eth0]:80",
        "[::0001]:80",
    ],
)
def test_what_is_no_endpoint(text):
    with pytest.raises(ValueError, match=r"is not ip:port|write it as"):
        check_endpoint(text)


@pytest.mark.parametrize("name", ["a", "A0", "org/model:tag", "a" * 128, "0.5b-instruct_v2"])
def test_names(name):
    assert Sample(name=name).name == name


@pytest.mark.parametrize("name", ["", "-a", "/a", "a b", "a\n", "a" * 129, "*", "\u00e9", "a,b"])
def test_what_is_no_name(name):
    with pytest.raises(ValidationError):
        Sample(name=name)


@pytest.mark.parametrize("word", ["", "-a", "a/b", "a:b", "a b", "a\n", "a" * 64, "\u00e9", ".."])
def test_words_fit_headers_labels_and_file_names(word):
    with pytest.raises(ValidationError):
        Sample(word=word)


@pytest.mark.parametrize(
    "text", ["", "sk-headgate-x", DIGEST.upper(), DIGEST[:-1], DIGEST + "0", DIGEST + "\n"]
)
def test_what_is_no_digest(text):
    with pytest.raises(ValidationError):
        Sample(digest=text)


@pytest.mark.parametrize("url", ["http://opa:8181/v1", "https://sso.example.com/"])
def test_urls(url):
    assert str(Sample(url=url).url) == url


@pytest.mark.parametrize("url", ["https://me:secret@sso/", "https://me@sso/", "https://:p@sso/"])
def test_no_secret_stands_in_a_url(url):
    with pytest.raises(ValidationError, match="leave user and password out"):
        Sample(url=url)


def test_paths_start_at_the_root():
    assert Sample(path="/a/b").path == Path("/a/b")
    with pytest.raises(ValidationError, match="from the root"):
        Sample(path="a/b")


@pytest.mark.parametrize(
    "given", [{"env": "TOKEN"}, {"file": "/run/token"}, {"kubernetes": "secret/key"}]
)
def test_a_secret_is_a_reference(given):
    secret = Secret.model_validate(given)
    assert secret.model_dump(mode="json", exclude_none=True) == given


@pytest.mark.parametrize(
    "given",
    [
        "hunter2",
        {},
        {"env": "A", "file": "/b"},
        {"env": "not a name"},
        {"file": "relative"},
        {"kubernetes": "no-slash"},
        {"kubernetes": "../../etc/passwd"},
    ],
)
def test_what_is_no_reference(given):
    with pytest.raises(ValidationError):
        Secret.model_validate(given)


def test_a_secret_that_was_found_is_shown_nowhere():
    secret = Secret(env="TOKEN")
    with pytest.raises(PolicyError, match="without its secrets"):
        secret.reveal()
    secret.found("hunter2")
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in f"{secret!r} {secret} {secret.model_dump()}"


def test_what_is_loaded_never_changes():
    class Part(Strict):
        name: str

    part = Part(name="a")
    with pytest.raises(ValidationError):
        part.name = "b"
    with pytest.raises(ValidationError):
        Part.model_validate({"name": "a", "colour": "blue"})
