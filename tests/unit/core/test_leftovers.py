"""What a killed run left is taken over by the next one, and nothing that somebody may own is."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import ApiProblem, OutcomeUnknown, ProviderFailure, Refused
from runpod_serverless_provider.core.ports import NoJournal
from unit.support import Life, world_of

KINDS = {
    "Endpoint": ("endpoints", "/v2/serverless", {"image": "me/x:1", "gpu": "ADA_24"}),
    "NetworkVolume": ("networkVolumes", "/v2/network-volumes", {"size": 20, "deletionProtection": False}),
    "PodTemplate": ("templates", "/v2/templates", {"image": "me/x:1"}),
    "Registry": ("registries", "/v2/registries", {"username": "u", "password": "p-canary"}),
}
SEEDS = itertools.count()
FIXED = {"name": "mine"}


@pytest.fixture
def world(tmp_path):
    """Give a world whose provider keeps a journal."""
    with world_of(journal_directory=tmp_path / "journal") as found:
        yield found


def run(world, kind, program=None, *, name="x", urn=None):
    """Create in a run of its own, with a name generated anew; the engine was told the id, and nothing more."""
    life = Life(world, kind, name)
    inputs = life.checked({**KINDS[kind][2], **(program or {})}, random_seed=str(next(SEEDS)).encode())
    request = verbs.Create(life.token, urn or life.urn, inputs, voice=world.notes)
    created = world.run(world.provider.create(request))
    life.id, life.inputs, life.outputs = created.id, inputs, dict(created.outputs)
    return life


def reply(world, life):
    """Tell the engine the id."""

    async def told():
        world.provider.replied(life.urn, life.id)
        await (world._journals[-1]._writing or asyncio.sleep(0))

    world.run(told())


def own(world, kind):
    """List what was created, but for the templates that endpoints bring."""
    return [item for item in world.all(KINDS[kind][0]) if item.get("_source") is None and not item.get("_bound")]


def names(world, kind):
    """List their names."""
    return [item["name"] for item in own(world, kind)]


@pytest.mark.parametrize("program", [{}, FIXED], ids=["generated", "fixed"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_run_created_is_what_the_next_run_has(world, kind, program):
    """There is one object, under the name of the state."""
    lost = run(world, kind, program)
    world.kill()
    found = run(world, kind, program)
    assert [item["id"] for item in own(world, kind)] == [found.id]
    assert names(world, kind) == [found.inputs["name"]] == [found.outputs["name"]]
    assert (found.id == lost.id) is (kind != "Registry" or bool(program))
    assert found.refresh() == {} and found.plan({**KINDS[kind][2], **program}) == {}


@pytest.mark.parametrize("program", [{}, FIXED], ids=["generated", "fixed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [0, 5])
def test_a_run_that_died_before_its_answer_is_looked_after(world, monkeypatch, kind, program, seconds):
    """The server may carry out its POST late; until then nothing is sent."""
    path = KINDS[kind][1]
    if seconds:
        world.fault(method="POST", path=path, action="commit-late", seconds=seconds)
    else:
        world.fault(method="POST", path=path, action="commit-then-drop")
    die(world, monkeypatch)
    with pytest.raises(Died):
        run(world, kind, program)
    monkeypatch.undo()
    world.kill()
    found = run(world, kind, program)
    assert [item["id"] for item in own(world, kind)] == [found.id]
    assert names(world, kind) == [found.inputs["name"]]


class Died(BaseException):
    """The process ends here."""


def die(world, monkeypatch):
    """End the process when a POST was sent and its answer did not come."""
    ask = world.api.request

    async def dying(method, path, **options):
        try:
            return await ask(method, path, **options)
        except OutcomeUnknown:
            raise Died from None

    monkeypatch.setattr(world.api, "request", dying)


def test_a_run_that_died_before_it_sent_anything_costs_a_wait(world, monkeypatch):
    """Nothing was made, and so something is created; the wait is told."""
    world.fault(method="POST", path="/v2/serverless", action="reset-before")
    die(world, monkeypatch)
    with pytest.raises(Died):
        run(world, "Endpoint")
    monkeypatch.undo()
    world.kill()
    found = run(world, "Endpoint")
    assert [item["id"] for item in own(world, "Endpoint")] == [found.id]
    assert any("looking in 65 s whether Runpod created 'x-" in text for text in world.notes.statuses)
    world.kill()
    world.forget()
    run(world, "Endpoint", name="other")
    assert "POST /serverless" in world.sent


@pytest.mark.parametrize(
    "confirm",
    [
        lambda world, life: world.run(world.provider.stored(life.urn, life.id)),
        lambda world, life: reply(world, life) or world.run(world.provider.orderly_end()),
        lambda world, life: life.plan(KINDS["Endpoint"][2]),
        lambda world, life: life.refresh(),
        lambda world, life: world.kill() or life.plan(KINDS["Endpoint"][2]),
        lambda world, life: world.kill() or Life(world, "Endpoint").take_over(life.id),
    ],
    ids=["stored", "orderly end", "diff", "refresh", "diff of a later run", "import"],
)
def test_what_a_state_holds_is_never_taken_over(world, confirm):
    """`up --replace` goes straight to a create: to take the live endpoint for it would delete production."""
    first = run(world, "Endpoint")
    confirm(world, first)
    world.kill()
    second = run(world, "Endpoint")
    assert first.id != second.id and len(own(world, "Endpoint")) == 2


def test_an_import_confirms_what_no_answer_named(world, monkeypatch):
    """It is told by its generated name."""
    world.fault(method="POST", path="/v2/serverless", action="commit-then-drop")
    die(world, monkeypatch)
    with pytest.raises(Died):
        run(world, "Endpoint")
    monkeypatch.undo()
    world.kill()
    (lost,) = own(world, "Endpoint")
    Life(world, "Endpoint").take_over(lost["id"])
    world.kill()
    assert run(world, "Endpoint").id != lost["id"]


def test_a_reply_counts_when_the_engine_lives_on(world):
    """An engine that still works some time after a reply has stored it."""
    first = run(world, "Endpoint")
    reply(world, first)
    world._now += 60
    other = run(world, "Endpoint", name="other")
    reply(world, other)
    world.kill()
    assert run(world, "Endpoint").id != first.id
    assert run(world, "Endpoint", name="other").id == other.id


def test_what_was_taken_over_is_not_deleted_for_its_own_replacement(world):
    """The run was killed after the state was written, and `up --replace` follows: the same object would be created and deleted."""
    first = run(world, "Endpoint")
    world.kill()
    second = run(world, "Endpoint")
    assert second.id == first.id
    first.delete()
    assert [item["id"] for item in own(world, "Endpoint")] == [first.id]
    assert "was taken over and stays" in world.notes.everything


def test_a_replacement_takes_over_what_a_killed_replacement_made(world):
    """And never the endpoint that it replaces, which the plan has named."""
    old = run(world, "Endpoint")
    old.refresh()
    program = {"gpu": "AMPERE_24"}
    new = run(world, "Endpoint", program)
    world.kill()
    assert old.plan({**KINDS["Endpoint"][2], **program}) == {"gpu": "update_replace"}
    assert run(world, "Endpoint", program).id == new.id


def test_other_inputs_are_explained(world):
    """The message names what is there and both ways to keep it."""
    lost = run(world, "Endpoint")
    world.kill()
    world.forget()
    recovery = (
        rf"'{lost.id}'.*other inputs than now.*pulumi import .* x {lost.id}`.*--import-pending-creates '{lost.urn}' {lost.id}`"
    )
    with pytest.raises(Refused, match=recovery):
        run(world, "Endpoint", {"idleTimeout": 77})
    assert world.writes == []
    Life(world, "Endpoint").take_over(lost.id)
    run(world, "Endpoint", {"idleTimeout": 77})


def test_what_is_gone_meanwhile_is_forgotten(world):
    """Somebody has deleted it in the console."""
    lost = run(world, "Endpoint")
    world.control(f"resources/endpoints/{lost.id}", None, "DELETE")
    world.kill()
    assert run(world, "Endpoint").id != lost.id


def test_a_look_that_fails_loses_nothing(world):
    """The next run looks again."""
    lost = run(world, "Endpoint")
    world.kill()
    world.fault(method="GET", path=f"/v2/serverless/{lost.id}", action="status", status=403, detail="not for you")
    with pytest.raises(ApiProblem, match=r"which an earlier run created failed: .*not for you"):
        run(world, "Endpoint")
    assert run(world, "Endpoint").id == lost.id


@pytest.mark.parametrize("backend", ["file:///elsewhere", None])
def test_another_backend_has_its_own_resources(world, backend):
    """An equal URN there is another resource."""
    lost = run(world, "Endpoint")
    world.kill(backend=backend)
    assert run(world, "Endpoint").id != lost.id


def test_without_a_known_backend_nothing_is_taken_over(world):
    """Nor created: what is there may be this one."""
    world.kill(backend=None)
    lost = run(world, "Endpoint")
    world.kill(backend=None)
    with pytest.raises(Refused, match=f"'{lost.id}' for this resource, and it cannot be told whether another stack holds it"):
        run(world, "Endpoint")


def test_one_off_commands_take_nothing_over(world):
    """In `pulumi do` every endpoint has the same URN."""
    urn = "urn:pulumi:dev::default::runpod-serverless:index:Endpoint::Endpoint"
    run(world, "Endpoint", urn=urn)
    world.kill()
    with pytest.raises(Refused, match="whether another stack holds it"):
        run(world, "Endpoint", urn=urn)


def test_a_living_run_is_waited_for(world):
    """An orphan finishes its POST and ends; who never ends is told, and nothing is sent."""
    lost = run(world, "Endpoint")
    life = world._journals[-1]._life
    world._journals[-1]._life = None
    world.kill()
    world.forget()
    with pytest.raises(Refused, match="another run is still creating the endpoint of this very resource"):
        run(world, "Endpoint")
    assert world.writes == [] and "waiting for an earlier run" in world.notes.everything
    life.close()
    assert run(world, "Endpoint").id == lost.id


def test_several_are_doubt(world):
    """Only one of them can be this resource."""
    first = run(world, "Endpoint")
    second = run(world, "Endpoint")
    world.kill()
    with pytest.raises(Refused, match=rf"'{first.id}', '{second.id}'.*only one of them.* ID`"):
        run(world, "Endpoint")


@pytest.mark.parametrize("since", [False, True], ids=["before", "since"])
def test_only_what_may_be_of_the_killed_run_is_doubt(world, monkeypatch, since):
    """A namesake that was there before its POST is not what it made, so that there are two then; a later one of other settings may be."""
    there = [{"name": "mine", "size": 30, "dataCenter": "EU-RO-1", "type": "STANDARD"}]
    if not since:
        world.seed(networkVolumes=there)
    world.fault(method="POST", path="/v2/network-volumes", action="reset-before")
    die(world, monkeypatch)
    with pytest.raises(Died):
        run(world, "NetworkVolume", FIXED)
    monkeypatch.undo()
    world.kill()
    if since:
        world.seed(networkVolumes=there)
        with pytest.raises(Refused, match=r"created the network volume '.*' for this resource, or found it there"):
            run(world, "NetworkVolume", FIXED)
    else:
        assert run(world, "NetworkVolume", FIXED).outputs["size"] == 20
        assert [item["size"] for item in own(world, "NetworkVolume")] == [30, 20]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_state_holds_is_no_doubt_of_its_own_replacement(world, monkeypatch, kind):
    """It has the fixed name, too; nobody is to delete it, or to import it, for a creation that made nothing."""
    old = run(world, kind, FIXED)
    reply(world, old)
    world.kill()
    old.difference({**KINDS[kind][2], **FIXED})
    world.fault(method="POST", path=KINDS[kind][1], action="status", status=503, times=3)
    with pytest.raises(OutcomeUnknown) as caught:
        run(world, kind, FIXED)
    assert old.id not in str(caught.value)
    world.kill()
    old.difference({**KINDS[kind][2], **FIXED})
    if kind == "PodTemplate":  # whose names are unique
        world.drift("templates", old.id, name="renamed")
    assert run(world, kind, FIXED).id not in (old.id, "")


def test_two_runs_do_not_take_the_same(world):
    """The journal gives it to one."""
    lost = run(world, "Endpoint")
    world.kill()
    found = world.run(world.provider._session.journal.unfinished(lost.urn))
    world.provider._session.journal.unfinished = lambda urn: gave(found)  # as the other run has read it, too

    async def gave(answer):
        return answer

    other = world._open_journal()
    assert world.run(other.take(found[0].number, lost.id))
    with pytest.raises(Refused, match="another run is taking it over right now"):
        run(world, "Endpoint")


def test_a_stop_ends_the_look_for_a_late_creation(world, monkeypatch):
    """Whether there is one is not known yet, so nothing is sent."""
    world.fault(method="POST", path="/v2/serverless", action="reset-before")
    die(world, monkeypatch)
    with pytest.raises(Died):
        run(world, "Endpoint")
    monkeypatch.undo()
    world.kill()
    world.forget()
    world.api.stop()
    with pytest.raises(Refused, match="not known yet; nothing was sent"):
        run(world, "Endpoint")
    assert world.writes == []


def test_credentials_get_their_new_name_by_being_made_anew(world):
    """The API cannot change them; a refusal to delete the old ones is told."""
    lost = run(world, "Registry")
    world.kill()
    world.fault(method="DELETE", path=f"/v2/registries/{lost.id}", action="status", status=400, detail="in use")
    with pytest.raises(ApiProblem, match=r"deleting the registry .* which an earlier run created failed: .*in use"):
        run(world, "Registry")
    world.kill()
    world.fault(method="DELETE", path=f"/v2/registries/{lost.id}", action="status", status=404)
    assert run(world, "Registry").id != lost.id


def test_what_a_post_surely_did_not_make_is_not_looked_for_later(world):
    """A refusal is final, also for the journal."""
    world.fault(method="POST", path="/v2/serverless", action="status", status=400, detail="no")
    with pytest.raises(ProviderFailure, match="no"):
        run(world, "Endpoint")
    detail = "There are no longer any instances available with the requested specifications."
    world.fault(method="POST", path="/v2/serverless", action="status", status=500, detail=detail)
    with pytest.raises(ProviderFailure, match="no longer any instances"):
        run(world, "Endpoint")
    world.kill()
    world.forget()
    run(world, "Endpoint")
    assert "GET /serverless" not in world.sent


def test_without_a_journal_nothing_is_known_of_other_runs():
    """Nothing is taken over then."""
    journal = NoJournal()
    assert not journal.knows_owner and not asyncio.run(journal.take("1", "e1"))


def test_what_a_killed_run_created_is_not_adopted(world):
    """It is the stack's own, so it goes with the stack; a preview says so, too."""
    program = {**FIXED, "adoptExisting": True}
    left = run(world, "NetworkVolume", program)
    world.kill()
    life = Life(world, "NetworkVolume")
    assert life.preview({**KINDS["NetworkVolume"][2], **program})["adopted"] is False
    taken = run(world, "NetworkVolume", program)
    assert taken.id == left.id and taken.outputs["adopted"] is False
    world.restart()
    taken.delete()
    assert own(world, "NetworkVolume") == []
