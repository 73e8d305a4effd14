"""What a killed run left is taken over by the next one, and nothing that somebody may own is."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta

import pytest

from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.failures import ApiProblem, CreatedButFailed, OutcomeUnknown, ProviderFailure, Refused
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
        world.provider.replied(life.id)
        await (world._journals[-1]._writing or asyncio.sleep(0))

    world.run(told())


def orderly(world, life):
    """Tell the engine the id, and end the run in order."""
    reply(world, life)
    world.run(world.provider.ended())
    world.kill()


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
    assert any("looking in 66 s whether Runpod created it" in text for text in world.notes.statuses)
    world.kill()
    world.forget()
    run(world, "Endpoint", name="other")
    assert "POST /serverless" in world.sent


@pytest.mark.parametrize(
    "confirm",
    [
        lambda world, life: reply(world, life) or world.run(world.provider.ended()),
        lambda world, life: life.plan(KINDS["Endpoint"][2]),
        lambda world, life: life.refresh(),
        lambda world, life: world.kill() or life.plan(KINDS["Endpoint"][2]),
        lambda world, life: world.kill() or Life(world, "Endpoint").take_over(life.id),
    ],
    ids=["orderly end", "diff", "refresh", "diff of a later run", "import"],
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


def test_what_a_state_holds_under_another_urn_is_never_taken_over(world):
    """It was renamed with an alias, or moved, and a new resource has its old name."""
    first = run(world, "Endpoint")
    world.kill()
    renamed = Life(world, "Endpoint", "renamed")
    renamed.id, renamed.inputs, renamed.outputs = first.id, first.inputs, first.outputs
    renamed.plan(KINDS["Endpoint"][2])
    assert run(world, "Endpoint").id != first.id


@pytest.mark.parametrize("is_told", [True, False], ids=["not ready", "no answer"])
def test_a_create_that_is_asked_for_again_makes_one_object(world, is_told):
    """Error hooks of the engine do that, in the same process."""
    life = Life(world, "Endpoint")
    request = verbs.Create(life.token, life.urn, life.checked(KINDS["Endpoint"][2], random_seed=b"s"), voice=world.notes)
    if is_told:
        world.fault(method="POST", path="/v2/serverless", action="add-fields", fields={"createdAt": None, "workers": "x"})
    else:
        world.fault(method="POST", path="/v2/serverless", action="commit-then-drop")
        world.fault(method="GET", path="/v2/serverless", action="status", status=503, times=5)
    with pytest.raises(CreatedButFailed if is_told else OutcomeUnknown):
        world.run(world.provider.create(request))
    made = world.run(world.provider.create(request))
    assert [item["id"] for item in own(world, "Endpoint")] == [made.id]
    assert "earlier run" not in world.notes.everything
    life.id, life.inputs, life.outputs = made.id, dict(request.inputs), dict(made.outputs)
    life.delete()
    assert own(world, "Endpoint") == []


def test_a_delete_that_was_put_off_spares_what_was_taken_over(world):
    """`up --replace` took the live object over and failed elsewhere; the next run deletes what it has still to delete."""
    first, second = put_off(world)
    for is_planned in (True, False):
        if is_planned:
            second.plan(KINDS["Endpoint"][2])
        first.delete()
        assert [item["id"] for item in own(world, "Endpoint")] == [first.id]
        world.kill()
    assert "stays: a run has taken it over in place of itself" in world.notes.everything
    second.delete()
    assert own(world, "Endpoint") == []


@pytest.mark.parametrize("is_registered", [True, False])
def test_an_option_that_deletes_first_deletes_also_what_was_once_taken_over(world, is_registered):
    """Of `replaceOnChanges` and `deleteBeforeReplace`; a dependent goes before it is registered. To the provider it is an update."""
    run(world, "Endpoint")
    world.kill()
    taken = run(world, "Endpoint")
    orderly(world, taken)
    program = {**KINDS["Endpoint"][2], "env": {"A": "2"}}
    assert "replace" not in str(taken.plan(program)).lower()
    if is_registered:
        taken.checked(program, olds={})
    taken.delete()
    assert own(world, "Endpoint") == []


def put_off(world, *, is_stored=True):
    """Take a live endpoint over in place of itself, in a run that fails before its deletes: the state has it to be deleted, and as live."""
    old = run(world, "Endpoint")
    world.kill()
    live = run(world, "Endpoint")
    if is_stored:
        orderly(world, live)
    else:
        world.kill()
    assert old.id == live.id
    return old, live


def there(world):
    """List the ids of the endpoints."""
    return [item["id"] for item in own(world, "Endpoint")]


@pytest.mark.parametrize("stack", ["unit", "renamed"])
def test_a_delete_that_was_put_off_spares_what_is_live_under_another_urn(world, stack):
    """By an alias only the live one has the new URN; by `pulumi stack rename` both have."""
    old, live = put_off(world)
    renamed = Life(world, "Endpoint", "renamed", live.id, live.inputs, live.outputs)
    assert renamed.plan(KINDS["Endpoint"][2]) == {}
    (old if stack == "unit" else Life(world, "Endpoint", "renamed", old.id, old.inputs, old.outputs)).delete()
    assert there(world) == [live.id]
    renamed.delete()
    assert there(world) == []


@pytest.mark.parametrize("change", [{"gpu": "AMPERE_24"}, {"env": {"A": "2"}}], ids=["by the plan", "by an option"])
def test_a_delete_that_was_put_off_spares_what_no_replacement_has_come_for(world, change):
    """With `--continue-on-error` the engine goes on to its deletes."""
    old, live = put_off(world)
    program = {**KINDS["Endpoint"][2], **change}
    live.plan(program)
    inputs = live.checked(program, olds={})
    world.fault(method="POST", path="/v2/serverless", action="status", status=400)
    with pytest.raises(ApiProblem):
        world.run(world.provider.create(verbs.Create(live.token, live.urn, inputs, voice=world.notes)))
    old.delete()
    assert there(world) == [live.id]


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_delete_that_was_put_off_spares_what_a_forced_replacement_failed_for(world, is_stored):
    """`up --replace` plans nothing. Where the run before was killed, all is as open as it was for that, and other inputs are refused."""
    old, live = put_off(world, is_stored=is_stored)
    inputs = live.checked({**KINDS["Endpoint"][2], "env": {"A": "2"}}, olds={})
    world.fault(method="POST", path="/v2/serverless", action="status", status=400)
    with pytest.raises(ApiProblem if is_stored else Refused):
        world.run(world.provider.create(verbs.Create(live.token, live.urn, inputs, voice=world.notes)))
    old.delete()
    assert there(world) == [live.id]


def test_a_delete_that_was_put_off_spares_what_no_create_was_called_for(world):
    """The engine skips what depends on a failure, and goes on to its deletes."""
    old, live = put_off(world)
    program = {**KINDS["Endpoint"][2], "gpu": "AMPERE_24"}
    live.plan(program)
    live.checked(program, olds={})
    old.delete()
    assert there(world) == [live.id]


def test_a_delete_that_was_put_off_is_spared_each_time(world):
    """A killed engine asks for it again."""
    old, live = put_off(world)
    for _ in range(2):
        live.plan(KINDS["Endpoint"][2])
        old.delete()
        world.kill()
    assert there(world) == [live.id]
    live.refresh()
    live.up({**KINDS["Endpoint"][2], "env": {"A": "2"}})
    old.delete()
    assert there(world) == [live.id]
    imported = Life(world, "Endpoint")
    imported.take_over(live.id)
    old.delete()
    assert there(world) == [live.id]
    imported.delete()
    assert there(world) == []


def test_a_takeover_that_no_state_has_heard_of_spares_nothing(world):
    """The run was killed before its reply: the state has one entry, which is the live one."""
    old, _ = put_off(world, is_stored=False)
    old.delete()
    assert there(world) == []


def test_an_earlier_takeover_spares_also_where_the_last_was_not_stored(world):
    """The state has the entry of the first, and the one from before it, which is still to be deleted."""
    old, live = put_off(world)
    world.run(world.provider._session.journal.mark(live.urn, live.id))
    world.kill()
    old.delete()
    assert there(world) == [live.id]
    live.delete()
    assert there(world) == []


def test_one_run_may_have_two_processes(world):
    """The resource has another provider by now: its old one is asked for the delete."""
    old = run(world, "Endpoint")
    world.kill(run="the engine")
    former = world.provider
    world.restart(run="the engine")
    assert run(world, "Endpoint").id == old.id
    world.provider = former
    old.delete()
    assert there(world) == [old.id]


def test_a_delete_that_was_put_off_spares_what_adopted_itself(world):
    """A volume that is looked for by its name is found in itself, when its replacement is forced."""
    program = {**FIXED, "adoptExisting": True}
    old = run(world, "NetworkVolume", program)
    orderly(world, old)
    live = run(world, "NetworkVolume", program)
    assert live.id == old.id and live.outputs["adopted"] is True
    orderly(world, live)
    old.delete()
    assert [item["id"] for item in own(world, "NetworkVolume")] == [old.id]


@pytest.mark.parametrize("is_rebuilt", [True, False], ids=["another machine", "no disk"])
def test_a_mark_in_the_state_counts_without_the_journal_that_made_it(world, tmp_path, is_rebuilt):
    """As in CI, where each run has a disk of its own."""
    old, live = put_off(world)
    world._journal_directory = tmp_path / "another"
    world.kill()
    world._journals[-1]._is_useless = not is_rebuilt
    live.plan(KINDS["Endpoint"][2])
    old.delete()
    assert there(world) == [live.id]
    live.delete()
    assert there(world) == []


def test_an_entry_that_is_planned_with_is_none_of_the_past(world):
    """The state is that of before the takeover again, from a backup."""
    old, _ = put_off(world)
    assert old.plan(KINDS["Endpoint"][2]) == {}
    old.delete()
    assert there(world) == []


@pytest.mark.parametrize("kind", ["Endpoint", "NetworkVolume"])
def test_a_delete_that_was_put_off_spares_what_the_engine_skips_or_no_create_comes_to(world, kind):
    """`--replace` plans nothing, and the run before was killed once the state had it all: only the second Check tells of the URN."""
    program = {**KINDS[kind][2], **({**FIXED, "adoptExisting": True} if kind == "NetworkVolume" else {})}
    old = run(world, kind, program)
    if kind == "NetworkVolume":
        orderly(world, old)
    else:
        world.kill()
    live = run(world, kind, program)
    world.kill()
    live.checked(program)
    live.checked(program, olds={})
    old.delete()
    assert [item["id"] for item in own(world, kind)] == [live.id]


def test_a_create_that_is_asked_for_again_keeps_the_mark(world):
    """Error hooks of the engine do that."""
    run(world, "Endpoint")
    world.kill()
    life = Life(world, "Endpoint")
    inputs = life.checked(KINDS["Endpoint"][2], random_seed=b"another")
    request = verbs.Create(life.token, life.urn, inputs, voice=world.notes)
    first, second = (world.run(world.provider.create(request)) for _ in range(2))
    life.id, life.inputs, life.outputs = second.id, inputs, dict(second.outputs)
    assert first.outputs == second.outputs
    orderly(world, life)
    life.delete()
    assert there(world) == []


def test_who_owns_a_volume_deletes_it_whoever_adopted_it(world):
    """Another resource, in this stack or another one, has an entry of its own for it."""
    owner = run(world, "NetworkVolume", FIXED)
    orderly(world, owner)
    adopter = run(world, "NetworkVolume", {**FIXED, "adoptExisting": True}, name="y")
    assert adopter.id == owner.id
    orderly(world, adopter)
    owner.delete()
    assert own(world, "NetworkVolume") == []


def test_a_new_object_has_no_past(world):
    """The emulator was emptied, and gives the same ids again."""
    _, live = put_off(world)
    world.control("reset", None)
    anew = run(world, "Endpoint")
    assert anew.id == live.id
    world.kill()
    anew.delete()
    assert there(world) == []


def test_an_import_elsewhere_makes_no_entry_one_of_the_past(world):
    """The takeover is in no state: the run was killed before its reply."""
    old, _ = put_off(world, is_stored=False)
    elsewhere = Life(world, "Endpoint", "elsewhere")
    elsewhere.take_over(old.id)
    elsewhere.refresh()
    world.kill()
    old.delete()
    assert there(world) == []


def test_a_name_that_autonaming_proposes_is_no_proof(world, monkeypatch):
    """In the mode `verbatim` it is the logical name, which others have as well."""
    other = run(world, "Endpoint", {"name": "api", "image": "prod/secret:9"}, name="other")
    other.refresh()
    life = Life(world, "Endpoint")

    def create():
        inputs = life.checked(KINDS["Endpoint"][2], autonaming=verbs.Autonaming.ENFORCE, proposed_name="api")
        return world.run(world.provider.create(verbs.Create(life.token, life.urn, inputs, voice=world.notes))).id

    world.restart()
    world.fault(method="POST", path="/v2/serverless", action="reset-before")
    with pytest.raises(OutcomeUnknown, match=f"'api' is there .'{other.id}'., but may have been there before"):
        create()
    world.kill()
    world.fault(method="POST", path="/v2/serverless", action="reset-before")
    die(world, monkeypatch)
    life = Life(world, "Endpoint", "second")
    with pytest.raises(Died):
        create()
    monkeypatch.undo()
    world.kill()
    assert create() != other.id
    assert [item["image"] for item in own(world, "Endpoint")] == ["prod/secret:9", "me/x:1"]


def test_clocks_that_differ_a_little_are_doubt(world, monkeypatch):
    """The gateway tells the time, and the database behind it notes another one."""
    world.run(world.provider.list_all(verbs.List("runpod-serverless:index:Endpoint")))
    world.fault(method="POST", path="/v2/serverless", action="commit-then-drop")
    die(world, monkeypatch)
    with pytest.raises(Died):
        run(world, "Endpoint", FIXED)
    monkeypatch.undo()
    (lost,) = own(world, "Endpoint")
    world.drift("endpoints", lost["id"], createdAt=f"{datetime.fromisoformat(lost['createdAt'][:-1]) - timedelta(seconds=1)}Z")
    world.kill()
    with pytest.raises(Refused, match=lost["id"]):
        run(world, "Endpoint", FIXED)


def test_another_key_neither_takes_nor_forgets(world):
    """It may be another account's, or the same one's after a rotation."""
    lost = run(world, "Endpoint")
    world.kill(api_key="another")
    with pytest.raises(
        Refused, match=f"'{lost.id}' for this resource, with another API key, so that its inputs cannot be compared"
    ):
        run(world, "Endpoint")
    path = f"/v2/serverless/{lost.id}"
    world.fault(method="GET", path=path, action="status", status=404)
    world.fault(method="GET", path="/v2/serverless", action="omit-from-list")
    assert run(world, "Endpoint").id != lost.id
    world.kill()
    with pytest.raises(Refused, match="only one of them"):
        run(world, "Endpoint")


def test_one_404_forgets_nothing(world):
    """The list has to agree; and the journal forgets only once there is another object."""
    lost = run(world, "Endpoint")
    world.kill()
    path = f"/v2/serverless/{lost.id}"
    world.fault(method="GET", path=path, action="status", status=404, detail="no route")
    assert run(world, "Endpoint").id == lost.id
    world.kill()
    world.fault(method="GET", path=path, action="status", status=404, detail="no route")
    world.fault(method="GET", path="/v2/serverless", action="omit-from-list")
    world.fault(method="POST", path="/v2/serverless", action="status", status=404, detail="no route")
    with pytest.raises(ApiProblem, match="no route"):
        run(world, "Endpoint")
    world.kill()
    assert run(world, "Endpoint").id == lost.id


def test_a_child_of_a_component_is_recovered_where_it_belongs(world):
    """`pulumi import` would put it beside its parent, under another URN."""
    urn = "urn:pulumi:test::unit::my:index:Comp$runpod-serverless:index:Endpoint::x"
    lost = run(world, "Endpoint", urn=urn)
    world.kill()
    with pytest.raises(Refused) as caught:
        run(world, "Endpoint", {"idleTimeout": 77}, urn=urn)
    assert str(caught.value).count(f"`pulumi refresh --import-pending-creates '{urn}' {lost.id}`") == 1
    assert "pulumi import" not in str(caught.value)


def test_what_nobody_takes_over_is_told(world, monkeypatch):
    """The program has the resource no more, or it is destroyed: the object may cost money, and no plan shows it."""
    lost = run(world, "Endpoint")
    world.kill()
    die(world, monkeypatch)
    for name, program in (("secret", {"size": 20, "name": "v-canary"}), ("open", {"size": 20})):
        life, secrets = Life(world, "NetworkVolume", name), frozenset({("name",)} if name == "secret" else ())
        inputs = life.checked(program, secrets=secrets, random_seed=b"s")
        request = verbs.Create(life.token, life.urn, inputs, secrets, voice=world.notes)
        world.fault(method="POST", path="/v2/network-volumes", action="commit-then-drop")
        with pytest.raises(Died):
            world.run(world.provider.create(request))
    monkeypatch.undo()
    world.kill()
    world.notes.warnings.clear()
    world.run(world.provider.tell_abandoned(world.notes))
    assert world.notes.warnings == []  # a run that changes nothing says nothing
    other = run(world, "Endpoint", name="other")
    world.run(world.provider.tell_abandoned(world.notes))
    endpoint, *volumes = world.notes.warnings
    assert f"created the endpoint '{lost.id}' for {lost.urn}. If the stack holds it" in endpoint
    assert f"`pulumi refresh --import-pending-creates '{lost.urn}' {lost.id}`" in endpoint
    assert (
        "may have created the network volume for urn:" in volumes[0] and "may have created the network volume 'open-" in volumes[1]
    )
    assert "canary" not in world.notes.everything and other.id not in world.notes.everything


def lose(world, monkeypatch, action, program=None):
    """Create in a run that dies before its answer."""
    world.fault(method="POST", path="/v2/serverless", action=action)
    die(world, monkeypatch)
    with pytest.raises(Died):
        run(world, "Endpoint", program)
    monkeypatch.undo()


def told(world):
    """Say how often the end of a run tells of an endpoint."""
    world.notes.warnings.clear()
    world.run(world.provider.tell_abandoned(world.notes))
    return sum("created the endpoint" in text for text in world.notes.warnings)


def test_what_was_deleted_by_hand_is_told_no_more(world):
    """A warning that nobody can end is none; it takes a list and a GET to know, and another key knows nothing."""
    lost = run(world, "Endpoint")
    world.control(f"resources/endpoints/{lost.id}", None, "DELETE")
    world.kill()
    run(world, "PodTemplate", name="other")
    assert told(world) == 1  # what has just been made may not be shown yet
    world.app.world.clock.advance(100)
    world.kill(api_key="another")
    run(world, "PodTemplate", name="third")
    assert told(world) == 1
    world.kill()
    run(world, "PodTemplate", name="fourth")
    world.forget()
    assert told(world) == 0
    assert [line for line in world.sent if "serverless" in line] == [
        "GET /serverless",
        f"GET /serverless/{lost.id}",
        "GET /serverless",
    ]
    assert world.run(world.provider._session.journal.unfinished(lost.urn)) == []


def test_what_was_never_made_is_told_for_as_long_as_it_may_come(world, monkeypatch):
    """A server may carry out a POST for a time after its sender's death."""
    lose(world, monkeypatch, "reset-before")
    world.kill()
    run(world, "PodTemplate", name="other")
    assert told(world) == 1
    world.app.world.clock.advance(100)
    assert told(world) == 0


@pytest.mark.parametrize("has_answer", [True, False])
def test_what_is_there_is_told_again_and_again(world, monkeypatch, has_answer):
    """Also where a list lacks it."""
    if has_answer:
        run(world, "Endpoint")
    else:
        lose(world, monkeypatch, "commit-then-drop")
    world.app.world.clock.advance(100)
    world.kill()
    run(world, "PodTemplate", name="other")
    assert [told(world), told(world)] == [1, 1]
    world.fault(method="GET", path="/v2/serverless", action="omit-from-list")
    assert told(world) == 1


def test_what_was_imported_is_told_no_more(world, monkeypatch):
    """No answer named it, and a fixed name proves nothing; but the only one of that name is in the state."""
    lose(world, monkeypatch, "commit-then-drop", FIXED)
    (lost,) = own(world, "Endpoint")
    world.app.world.clock.advance(100)
    world.kill()
    life = Life(world, "Endpoint")
    life.take_over(lost["id"])
    world.kill()
    life.plan({**KINDS["Endpoint"][2], **FIXED})
    assert told(world) == 0
    assert world.run(world.provider._session.journal.unfinished(life.urn)) == []


def test_a_namesake_that_was_there_before_is_not_what_is_told_of(world, monkeypatch):
    """It is somebody else's."""
    run(world, "Endpoint", FIXED, name="other").plan({**KINDS["Endpoint"][2], **FIXED})
    world.app.world.clock.advance(1000)
    world.kill()
    lose(world, monkeypatch, "reset-before", FIXED)
    world.app.world.clock.advance(100)
    world.kill()
    run(world, "PodTemplate", name="another")
    assert told(world) == 0


def test_a_row_of_an_unknown_kind_is_left_alone(world, monkeypatch):
    """A newer version of the provider may have written it."""
    run(world, "Endpoint")
    world.kill()
    monkeypatch.delitem(world.provider._resources, "runpod-serverless:index:Endpoint")
    run(world, "PodTemplate", name="other")
    assert told(world) == 0


def test_what_cannot_be_told_in_a_moment_is_told_as_before(world, monkeypatch):
    """An engine that ends its run waits for nothing long."""
    lost = run(world, "Endpoint")
    world.control(f"resources/endpoints/{lost.id}", None, "DELETE")
    world.app.world.clock.advance(100)
    world.kill()
    run(world, "PodTemplate", name="other")
    world.fault(method="GET", path="/v2/serverless", action="status", status=400)
    assert told(world) == 1
    monkeypatch.setattr("runpod_serverless_provider.core.creation._FORGET_SECONDS", 0.01)
    with monkeypatch.context() as slow:
        slow.setattr(world.api, "request", lambda *_, **__: asyncio.sleep(60))
        assert told(world) == 1
    assert told(world) == 0


def test_what_a_killed_replacement_by_option_made_is_told_where_nothing_replaces(world):
    """A plain `pulumi up` does not create, so it cannot take it over; nothing tells of it but this."""
    old = run(world, "Endpoint")
    old.refresh()
    new = run(world, "Endpoint")  # as `up --replace` does: without what the state has
    assert new.id != old.id
    world.kill()
    world.notes.warnings.clear()
    old.refresh()
    world.run(world.provider.tell_abandoned(world.notes))
    assert world.notes.warnings == []  # a refresh plans nothing
    assert old.plan({**KINDS["Endpoint"][2], "gpu": "AMPERE_24"}) == {"gpu": "update_replace"}
    world.run(world.provider.tell_abandoned(world.notes))
    assert world.notes.warnings == []  # it is taken over
    assert old.plan({**KINDS["Endpoint"][2], "env": {"A": "2"}}) == {"env.A": "add"}
    old.checked({**KINDS["Endpoint"][2], "env": {"A": "2"}}, olds={})  # an option makes a replacement of it
    world.run(world.provider.tell_abandoned(world.notes))
    assert world.notes.warnings == []
    assert old.plan(KINDS["Endpoint"][2]) == {}
    world.run(world.provider.tell_abandoned(world.notes))
    (said,) = world.notes.warnings
    assert f"created the endpoint '{new.id}' for {old.urn}. The stack has '{old.id}' for it" in said
    assert f"`pulumi up --replace '{old.urn}'`" in said
    assert run(world, "Endpoint").id == new.id
    world.notes.warnings.clear()
    world.run(world.provider.tell_abandoned(world.notes))
    assert world.notes.warnings == []


@pytest.mark.parametrize("has_answer", [True, False])
def test_a_secret_name_is_not_in_the_journal(world, monkeypatch, has_answer):
    """And is found all the same."""
    life = Life(world, "Endpoint")
    secrets = frozenset({("name",)})
    inputs = life.checked({**KINDS["Endpoint"][2], "name": "name-canary"}, secrets=secrets)

    def create():
        return world.run(world.provider.create(verbs.Create(life.token, life.urn, inputs, secrets, voice=world.notes))).id

    world.run(world.provider.list_all(verbs.List("runpod-serverless:index:Endpoint")))
    if has_answer:
        create()
    else:
        world.fault(method="POST", path="/v2/serverless", action="commit-then-drop")
        die(world, monkeypatch)
        with pytest.raises(Died):
            create()
        monkeypatch.undo()
    world.kill()
    assert [create()] == [item["id"] for item in own(world, "Endpoint")]
    assert not any(b"name-canary" in file.read_bytes() for file in world._journal_directory.iterdir())


def test_what_was_taken_over_is_not_deleted_for_its_own_replacement(world):
    """The run was killed after the state was written, and `up --replace` follows: the same object would be created and deleted."""
    first = run(world, "Endpoint")
    world.kill()
    second = run(world, "Endpoint")
    assert second.id == first.id
    first.delete()
    assert [item["id"] for item in own(world, "Endpoint")] == [first.id]
    assert "stays: a run has taken it over in place of itself" in world.notes.everything


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
    world.kill()

    async def nothing(urn):
        return []

    world.provider._session.journal.unfinished = nothing  # as a run that began at the same time
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
    """The API cannot change them; the old ones go after that, and a refusal to delete them is told."""
    lost = run(world, "Registry")
    world.kill()
    world.fault(method="POST", path="/v2/registries", action="status", status=400, detail="no")
    with pytest.raises(ApiProblem, match="no"):
        run(world, "Registry")
    assert [item["id"] for item in own(world, "Registry")] == [lost.id]
    world.kill()
    world.fault(method="DELETE", path=f"/v2/registries/{lost.id}", action="status", status=400, detail="in use")
    world.forget()
    made = run(world, "Registry")
    assert world.writes == ["POST /registries", f"DELETE /registries/{lost.id}"]
    assert (
        f"the registry '{lost.id}', which an earlier run created for this resource, could not be deleted" in world.notes.everything
    )
    world.kill()
    world.fault(method="DELETE", path=f"/v2/registries/{made.id}", action="status", status=404)
    last = run(world, "Registry")
    assert {item["id"] for item in own(world, "Registry")} == {lost.id, made.id, last.id}


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


def test_what_only_sounds_like_a_refusal_is_looked_for_later(world, monkeypatch):
    """The gateway's words are no reason to forget the creation: the server goes on, and a run that is killed meanwhile knows nothing."""
    detail = "upstream in data center EU-RO-1 timed out"
    world.fault(method="POST", path="/v2/network-volumes", action="commit-late", status=504, detail=detail, seconds=0.1)

    async def dying(seconds):
        raise Died

    monkeypatch.setattr(world.api, "pause", dying)
    with pytest.raises(Died):
        run(world, "NetworkVolume")
    world.kill()
    world.run(asyncio.sleep(0.3))
    (made,) = own(world, "NetworkVolume")
    assert run(world, "NetworkVolume").id == made["id"]
    assert len(own(world, "NetworkVolume")) == 1


def test_without_a_journal_nothing_is_known_of_other_runs():
    """Nothing is taken over then."""
    journal = NoJournal()
    assert not journal.knows_owner and not asyncio.run(journal.take("1", "e1"))
    assert (
        asyncio.run(journal.unfinished("urn:pulumi:dev::app::t::x"))
        == asyncio.run(journal.abandoned("urn:pulumi:dev::app::"))
        == []
    )
    assert not asyncio.run(journal.is_stale("urn", "e1", None)) and asyncio.run(journal.newest_mark("urn", "e1")) is None


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
