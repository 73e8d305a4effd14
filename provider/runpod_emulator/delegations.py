"""ECR delegations: permission to pull from a repository of one's own AWS account."""

import re

from runpod_emulator import rules
from runpod_emulator.clock import iso
from runpod_emulator.problems import bad_request, not_found
from runpod_emulator.world import Call, Reply, World

_RESOURCE = re.compile(r"arn:aws:ecr:([a-z0-9-]+):([0-9]{12}):repository/([a-z0-9._/-]+)(?::([A-Za-z0-9._-]+))?")


def listing(world: World, call: Call) -> Reply:
    """`listDelegations`."""
    return 200, {"delegations": world.store.all("delegations")}


def create(world: World, call: Call) -> Reply:
    """`createDelegation`."""
    body = call.body(rules.CREATE_DELEGATION)
    found = _RESOURCE.fullmatch(body["resource"])
    if found is None:
        raise bad_request(f"resource '{body['resource']}' is not the ARN of an ECR repository")
    region, user, repository, tag = found.groups()
    identifier = world.store.new_id("delegations")
    delegation = {
        "id": identifier,
        "name": body.get("name"),
        "delegatorUserId": "user_emulated",
        "awsUser": user,
        "repository": repository,
        "tag": tag or "latest",
        "awsRegion": region,
        "dockerRegistryUri": f"{user}.dkr.ecr.{region}.amazonaws.com",
        "createdAt": iso(world.clock.now()),
    }
    world.store.put("delegations", identifier, delegation)
    return 201, delegation


def revoke(world: World, call: Call) -> Reply:
    """`revokeDelegation`."""
    if not world.store.remove("delegations", call.params["id"]):
        raise not_found("delegation")
    return 204, None
