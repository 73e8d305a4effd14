"""The scorecard can fail: what it looks for, it finds where it is."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import subprocess
import sys
import types
from pathlib import Path
from urllib.parse import quote

import pytest
from tools.reliability import __main__ as program
from tools.reliability import adoptions, canaries, fuzz, kills, lifecycles, trials
from tools.reliability.creations import FIXED, GENERATED, PROPOSED, Trial, faults, matrix
from tools.reliability.pairs import wrong_again, wrong_pair
from tools.reliability.programs import Ref
from tools.reliability.report import ROOT, Result, Run
from tools.reliability.service import Made
from tools.reliability.storms import calm, is_of, storm, too_early
from tools.reliability.workspace import Done, workspace

from runpod_serverless_provider.core.creation import Creations
from runpod_serverless_provider.core.failures import Refused
from runpod_serverless_provider.core.provider import Provider
from runpod_serverless_provider.core.resource import Resource
from runpod_serverless_provider.redaction import Redactor

FORMS = {
    "plain": lambda text: text,
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "URL": lambda text: quote(text, safe=""),
    "hexadecimal": lambda text: text.encode().hex(),
    **{
        f"base64 after {number}": lambda text, number=number: base64.b64encode(b"x" * number + text.encode() + b"yz").decode()
        for number in range(4)
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", canaries.ALL)
def test_a_canary_is_found_in_every_form(name, form):
    """And named without being shown."""
    hits = canaries.found_in(f"before {FORMS[form](canaries.ALL[name])} after")
    assert hits
    assert all(hit.startswith(name) and canaries.ALL[name] not in hit for hit in hits)


def test_what_is_no_canary_is_no_hit(tmp_path):
    """Nor is what the engine's own log says of its wire; files are looked through as well as output."""
    found = canaries.Canaries()
    found.look("output", "rpa_ of nobody, canary, password")
    found.look("log", f"I1 {canaries.OF_THE_ENGINE}: {canaries.PASSWORD}\nfine")
    assert (found.hits, found.texts) == ([], 2)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "dev.json").write_bytes(b"\xff" + canaries.API_KEY.encode())
    found.look_into("stack", [tmp_path])
    assert len(found.hits) == 1 and found.hits[0].startswith("stack: state/dev.json: API key")


ADVICE = "take it over with `pulumi import t n a`"


@pytest.mark.parametrize(
    ("naming", "decoy", "made", "present", "wrong"),
    [
        (GENERATED, "", Made("a"), {"a"}, ""),
        (GENERATED, "", Made("", "no"), set(), ""),
        (GENERATED, "", Made("a"), {"a", "b"}, "2 objects"),
        (GENERATED, "", Made("a"), set(), "which is not there"),
        (GENERATED, "", Made("", ADVICE), {"a"}, "in no state"),
        *((naming, "", Made("", ADVICE), {"a"}, "") for naming in (FIXED, PROPOSED)),
        (FIXED, "", Made("", "no"), {"a"}, "in no state"),
        (FIXED, "", Made("", ADVICE), {"b"}, "in no state"),
        *((naming, "d", Made("d"), {"d"}, "for its own") for naming in (FIXED, PROPOSED)),
        (FIXED, "d", Made("a"), {"a", "d"}, ""),
        (FIXED, "d", Made("", ADVICE), {"a", "b", "d"}, "2 objects"),
    ],
)
def test_a_creation_is_judged_by_what_exists_and_what_is_known(naming, decoy, made, present, wrong):
    """A generated name leaves nothing unowned; another one may, where the failure says what it is."""
    said = Trial("Endpoint", ("429",), naming, 1, 1, "n", decoy, made=made).verdict(present)
    assert wrong in said and bool(said) == bool(wrong)


@pytest.mark.parametrize(
    ("naming", "first", "second", "present", "wrong"),
    [
        (GENERATED, Made("", "lost"), Made("a"), {"a"}, ""),
        (GENERATED, Made("a", "unread"), Made("a"), {"a"}, ""),
        (GENERATED, Made("a"), Made("a"), {"a"}, "did not fail"),
        (GENERATED, Made("a", "unread"), Made("b"), {"b"}, "the first call said a"),
        (GENERATED, Made("", "lost"), Made("b"), {"a", "b"}, "2 objects"),
        (GENERATED, Made("", "lost"), Made("", ADVICE), {"a"}, "fails as well"),
        *((naming, Made("", "lost"), Made("", ADVICE), {"a"}, "") for naming in (FIXED, PROPOSED)),
        (FIXED, Made("", "lost"), Made("", "no"), {"a"}, "fails as well"),
        (FIXED, Made("", "lost"), Made("", ADVICE), set(), "fails as well"),
    ],
)
def test_a_creation_called_again_gives_the_object_of_the_first_call(naming, first, second, present, wrong):
    """Or one where there is none yet; only in doubt about a name may it fail, and then it says of what."""
    said = wrong_again(Trial("Endpoint", ("",), naming, 1, 1, "n", made=second), first, present)
    assert wrong in said and bool(said) == bool(wrong)


@pytest.mark.parametrize(
    ("made", "present", "wrong"),
    [
        ((Made("a"), Made("b")), {"a", "b"}, ""),
        ((Made("b"), Made("", ADVICE)), {"a", "b"}, ""),
        ((Made("a"), Made("", "no")), {"a"}, ""),
        ((Made("a"), Made("a")), {"a"}, "both are a"),
        ((Made("a"), Made("b")), {"a", "b", "c"}, "3 objects"),
        ((Made("a"), Made("b")), {"a"}, "not there"),
        ((Made("b"), Made("", "no")), {"a", "b"}, "in no state"),
    ],
)
def test_two_creations_of_one_name_have_an_object_each(made, present, wrong):
    """What one of them does not know, its failure names."""
    said = wrong_pair(made, present)
    assert wrong in said and bool(said) == bool(wrong)


def _kept(name, id, **marks):
    return {"urn": f"urn:pulumi:dev::p::t::{name}", "id": id, **marks}


@pytest.mark.parametrize(
    ("state", "there", "wrong"),
    [
        ([_kept("x", "a"), _kept("y", "b")], "ab", ""),
        ([_kept("x", "a"), _kept("x", "b", delete=True)], "a", ""),
        ([_kept("x", "a")], "", "as live, which is gone"),
        ([_kept("x", "a"), _kept("y", "a")], "a", "x and y have one id, a"),
        ([_kept("x", "a"), _kept("y", "a", delete=True)], "a", "x and y have one id, a"),
        ([_kept("x", "a"), _kept("x", "a")], "a", "a twice as live"),
        ([_kept("x", "a"), _kept("x", "a", delete=True)], "a", ""),
        ([_kept("x", "a"), _kept("x", "a", delete=True)], "", "as live, which is gone"),
    ],
)
def test_a_state_is_broken_where_it_holds_what_is_gone_or_one_id_twice(state, there, wrong):
    """What waits for its deletion may be gone, and be what its own replacement took over."""
    said = " ".join(adoptions.broken(state, there))
    assert wrong in said and bool(said) == bool(wrong)


def test_what_a_plain_up_leaves_it_has_to_tell():
    """One that fails has told something else."""
    done = Done(0, "created the endpoint 'b'", "")
    assert list(adoptions.untold([_kept("x", "a")], {"a": "x", "b": "x"}, done)) == []
    (wrong,) = adoptions.untold([_kept("x", "a")], {"a": "x", "left0": "x"}, done)
    assert wrong.startswith("left0 is in no state")
    assert list(adoptions.untold([], {"left0": "x"}, Done(1, "", ""))) == []


def test_a_seed_repeats_its_matrix(tmp_path):
    """Every fault meets every resource, named in each way; another seed orders others."""
    run = Run(1, is_full=True, directory=tmp_path, engine=tmp_path)
    one, again, other = ([str(trial) for trial in matrix(run, seed, faults(5.0))] for seed in (3, 3, 4))
    assert one == [str(trial) for trial in matrix(run.at(3), 3, faults(5.0))]  # as the command that a failure names has it
    assert one == again != other
    assert len(one) == len(faults(5.0)) * 4 * 3 and 20 * len(one) >= 2000


def test_who_comes_before_the_end_of_retry_after_is_found():
    """What was on the way when the 429 was sent is not meant."""
    limited = {"at": 100.0, "tookMs": 100.0, "status": 429, "retryAfter": "2", "method": "GET", "path": "/x"}
    later = [{**limited, "at": at, "status": 200, "method": "POST"} for at in (100.2, 101.0, 102.2)]
    assert list(too_early([limited, *later])) == ["POST /x came 1.10 s before the end of 2 s"]


def test_a_storm_that_breaks_off_is_no_success():
    """What ended it is raised where it was ordered; and what met no refusal was in no storm."""
    sky = types.SimpleNamespace(fault=lambda *arguments, **details: None)  # has no controls to ask
    place = types.SimpleNamespace(emulator=sky)
    with pytest.raises(RuntimeError, match="the storm broke off") as broken, storm(place, random.Random(1), 1):
        pass
    assert isinstance(broken.value.__cause__, AttributeError)
    assert calm([{"status": 200}] * 9 + [{"status": 429}] * 2) == ["2 requests were refused: there was no storm"]
    assert calm([{"status": 429}] * 3) == []


def test_the_creations_of_one_process_are_told_from_those_of_another():
    """By the names in their programs, since all send as one account."""
    sent = {"method": "POST", "body": {"name": "several1r10-1234567"}}
    assert is_of("several1", sent)
    assert not is_of("several2", sent) and not is_of("several1", {"method": "GET", "body": None})


@pytest.mark.parametrize(("outcome", "code"), [("met", 0), ("missed", 1), ("untried", 1), ("broken", 1), ("empty", 1)])
def test_the_program_fails_where_a_target_is_missed(monkeypatch, capsys, tmp_path, outcome, code):
    """Also where nothing was tried, or the measurement itself broke; each failure says what repeats it, and the last line is the JSON."""

    def measure(run):
        if outcome == "broken":
            raise RuntimeError("out of order")
        if outcome != "empty":
            yield Result("a | b", "0", outcome != "untried", ("it was 1",) if outcome == "missed" else (), run.seed, "of 2")

    monkeypatch.setitem(sys.modules, "tools.reliability.sample", types.SimpleNamespace(measure=measure))
    monkeypatch.setattr(program, "MEASUREMENTS", (program.Measurement("sample"), program.Measurement("long", is_quick=False)))
    monkeypatch.setenv("PATH", os.environ["PATH"])  # which the program extends
    written = tmp_path / "scorecard.json"
    assert program.main(["--quick", "--seed", "7", "--json", str(written)]) == code
    printed, scorecard = capsys.readouterr().out, json.loads(written.read_text())
    assert json.loads(printed.splitlines()[-1]) == scorecard
    repeat = "repeat: python -m tools.reliability --quick --only sample --seed 7"
    assert "seed 7" in printed or outcome == "empty"
    if outcome == "missed":
        assert "| a \\| b | 0 | 1 | 1 | of 2 |" in printed and "  - it was 1" in printed
        assert scorecard["results"][0]["failures"] == [f"it was 1; {repeat}"]
    if outcome == "broken":
        assert "out of order" in printed and repeat in printed


def test_a_failure_that_says_itself_what_repeats_it_keeps_that():
    """Where a batch has a seed of its own, the run's would repeat another one."""
    own = "a; repeat: python -m tools.reliability --only fuzz --seed 3"
    assert Result("m", "0", 2, (own, "b"), 1).repeatable("repeat: python -m tools.reliability --seed 1").failures == (
        own,
        "b; repeat: python -m tools.reliability --seed 1",
    )


def test_a_fuzzer_notices_a_crash_and_a_leak(monkeypatch):
    """Each is a failure that says how to repeat it, also where hypothesis finds it."""
    run = Run(1, False, Path("nowhere"), Path("nowhere"))
    monkeypatch.setattr(Provider, "diff", lambda self, request: {}["crash"])
    monkeypatch.setattr(Redactor, "__call__", lambda self, text: text)
    monkeypatch.setattr(Provider, "delete", leaking)
    found = asyncio.run(fuzz.sent(1, 400, run))
    assert any("INTERNAL" in text and "Diff(" in text for text in found)
    assert any("a secret in an error" in text and "Delete(" in text for text in found)
    (shrunk,) = fuzz.shrinking(run)
    assert not shrunk.is_met and "repeat: python -m tools.reliability --quick --only fuzz --seed 1" in shrunk.failures[0]


async def leaking(self, request):
    """Say what nobody should hear."""
    raise Refused(str(request.old_inputs))


def test_lives_notice_an_orphan_and_are_shortened_to_what_it_takes(monkeypatch):
    """Here a POST without an answer is never looked after."""

    async def settle(self, *details):
        return None

    monkeypatch.setattr(Creations, "_settle", settle)
    steps = [
        lifecycles.Step("add", "Registry-a"),
        lifecycles.Step("add", "Endpoint-a"),
        lifecycles.Step("fault", how={"action": "commit-then-drop", "method": "POST"}),
        lifecycles.Step("up"),
        lifecycles.Step("refresh"),
    ]
    assert any("is in the account, but in no state" in text for text in lifecycles.lead(steps))
    assert [step.what for step in lifecycles.shortened(steps)] == ["add", "fault", "up"]


def test_lives_notice_a_change_that_does_not_arrive(monkeypatch):
    """Whatever a preview said of it."""
    whole = Resource.patch
    monkeypatch.setattr(Resource, "patch", lambda self, task, outputs: {**whole(self, task, outputs), "size": 10})
    grown = [lifecycles.Step("edit", "NetworkVolume-a", ("size", 20)), lifecycles.Step("up")]
    first = [
        lifecycles.Step("add", "NetworkVolume-a"),
        lifecycles.Step("edit", "NetworkVolume-a", ("size", 10)),
        lifecycles.Step("up"),
    ]
    assert any("foresaw size = 20" in text for text in lifecycles.lead([*first, *grown]))


def test_lives_notice_a_delete_that_deletes_nothing(monkeypatch):
    """The state then knows nothing of what is there."""

    async def delete(self, request):
        return None

    monkeypatch.setattr(Provider, "delete", delete)
    steps = [lifecycles.Step(what, "Registry-a") for what in ("add", "up", "remove", "up")]
    assert any("is in the account, but in no state" in text for text in lifecycles.lead(steps))


def test_lives_look_for_secrets_in_their_journals(monkeypatch):
    """A text that a journal does hold, taken for a secret, makes the life go wrong."""
    steps = [lifecycles.Step("add", "Registry-a"), lifecycles.Step("up")]
    looked = canaries.Canaries()
    assert lifecycles.lead(steps, looked) == [] and looked.characters > 0
    monkeypatch.setitem(canaries._FORMS, ":Registry::Registry-a", "URN")
    assert any("journal of a life: " in text and "URN after" in text for text in lifecycles.lead(steps))


@pytest.mark.parametrize(
    ("kind", "key"), [("NetworkVolume", "volume"), ("PodTemplate", "templateId")], ids=["network volume", "template"]
)
def test_lives_allow_a_refusal_of_what_vanished_and_of_nothing_else(monkeypatch, kind, key):
    """Where nobody refreshed, the state names an id that is gone. Without a word of that, the same life goes wrong."""
    reference = [Ref(kind)] if key == "volume" else Ref(kind)
    steps = [
        lifecycles.Step("add", f"{kind}-a"),
        lifecycles.Step("up"),
        lifecycles.Step("vanish", f"{kind}-a"),
        lifecycles.Step("add", "Endpoint-a"),
        lifecycles.Step("edit", "Endpoint-a", (key, reference)),
        lifecycles.Step("up"),
    ]
    assert lifecycles.lead(steps) == []
    monkeypatch.setattr(lifecycles, "REFUSALS_OF_VANISHED", ())
    assert any("failed without a fault" in text for text in lifecycles.lead(steps))


def test_a_trial_of_kills_counts_only_where_it_ran_to_its_end(monkeypatch, tmp_path):
    """The emulator outlives one trial; each other one is a failure, and is not among those that were tried."""

    class Emulator:
        def reset(self):
            if ended:
                raise ConnectionError("the emulator is gone")

        def set(self, **settings):
            pass

    @contextlib.contextmanager
    def place(run, name):
        yield types.SimpleNamespace(emulator=Emulator())

    ended = []
    monkeypatch.setattr(trials, "TOGETHER", 1)
    monkeypatch.setattr(trials, "workspace", place)
    monkeypatch.setattr(kills, "_interrupt", lambda place, trial: ended.append(trial))
    results = list(kills.measure(Run(1, False, tmp_path, tmp_path)))
    assert {result.metric: (result.n, len(result.failures)) for result in results} == {
        "kill -9 of the CLI": (1, 1),
        "kill -9 of the provider": (0, 2),
        "^C once": (0, 1),
        "^C twice": (0, 1),
        '"exited prematurely"': (1, 0),
        "provider processes after their engine": (1, 0),
    }
    assert all("the emulator is gone" in text for result in results for text in result.failures)


def test_a_file_that_the_killed_cli_has_torn_stops_no_trial(tmp_path, monkeypatch):
    """The file backend's side files are written in place; the state itself is not."""
    engine = subprocess.run(
        [sys.executable, str(ROOT / "tools/engine.py"), "--where"], stdout=subprocess.PIPE, text=True, check=True
    )
    monkeypatch.setenv("PATH", engine.stdout.strip(), prepend=os.pathsep)
    with workspace(Run(1, False, tmp_path, tmp_path), "w") as place:
        project = place.project("torn")
        project.write({})
        project.up()
        (side,) = (place.directory / "backend").glob("**/torn/dev.json.attrs")
        side.write_bytes(b"")
        assert "failed to load checkpoint: EOF" in project.pulumi("stack", "export").said
        project.cancel()
        assert project.state() == []
