"""How a command line is read: words in any order, flags named as the keys of a study file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lra_bench.cli import build_parser
from lra_bench.config import Study
from lra_bench.errors import InputError

# A command, and its words in groups that may be given in any order.
GROUPS: dict[str, list[list[str]]] = {
    "run": [
        ["--study", "study.yaml"],
        ["--tasks", "text", "pathfinder:size=64"],
        ["--mixers=linear"],
        ["--mixers", "softmax"],
        ["--seeds", "0", "1"],
        ["--set", "steps=1", "source=mine.yaml"],
        ["--plugins", "plugins/own.py", "other.py"],
        ["--log", "wandb"],
        ["--retry"],
        ["--protocol", "own/protocol.yaml"],
        ["--data-dir=data"],
        ["--dry-run"],
    ],
    "check": [["rope"], ["linear"], ["--plugins", "own.py", "other.py"], ["--quick"]],
    "list": [["encodings"], ["--plugins", "own.py"], ["--json"]],
    "show": [["rope"], ["--plugins", "own.py"], ["--length", "64"]],
    "data prepare": [["own"], ["text"], ["--plugins", "own.py"], ["--limit", "9"], ["--json"]],
    "report": [["before"], ["after"], ["--every", "2"], ["--all"]],
    "results": [["merge"], ["a"], ["b"], ["--into", "c"], ["--fix"]],
}


def parsed(*words: str) -> dict[str, object]:
    return vars(build_parser().parse_args(words))


@pytest.mark.parametrize("command", GROUPS)
@given(data=st.data())
def test_words_may_come_in_any_order(command: str, data: st.DataObject) -> None:
    mixed = data.draw(st.permutations(GROUPS[command]))
    own = [word for words in mixed for word in words if not words[0].startswith("-")]
    flags = [word for words in mixed for word in words if words[0].startswith("-")]
    everything = [word for words in mixed for word in words]
    assert parsed(*command.split(), *everything) == parsed(*command.split(), *own, *flags)


def test_what_is_no_file_stays_a_name() -> None:
    assert parsed("run", "--tasks", "text", "txt")["tasks"] == ["text", "txt"]
    assert parsed("run", "--tasks", "own:file=a/b.yaml")["tasks"] == ["own:file=a/b.yaml"]


def test_values_of_a_flag_that_is_given_twice_add_up() -> None:
    assert parsed("run", "--tasks=text", "--tasks", "image")["tasks"] == ["text", "image"]


def test_a_command_without_words_of_its_own_says_so() -> None:
    with pytest.raises(InputError, match=r"unrecognized arguments: study\.yaml"):
        parsed("run", "--tasks=text", "--dry-run", "study.yaml")


# What only a file can say.
IN_FILES = {"summary", "blocks"}


@pytest.mark.parametrize("key", sorted(set(Study.model_fields) - IN_FILES))
def test_the_flags_of_a_study_are_its_keys(key: str) -> None:
    values = {"seeds": ["0"], "skip_bad": []}.get(key, ["steps=1"])
    assert parsed("run", f"--{key.replace('_', '-')}", *values)[key] is not None


@pytest.mark.parametrize("key", ["mixers", "encodings", "tokens", "lengths", "plugins"])
def test_the_flags_of_a_profile_are_its_keys(key: str) -> None:
    value = {"tokens": "real", "lengths": "64"}.get(key, "x")
    assert parsed("profile", f"--{key}", value)[key] is not None
