"""The page at `/`, in a real browser.

`KEEP_SCREENSHOT=1` keeps the picture of the last test as `docs/emulator.png`.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from emulator.bodies import cpu_body, gpu_body

PICTURE = Path(__file__).parents[2] / "docs" / "emulator.png"
QUIETLY = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
ALONE = "--disable-component-update --disable-sync --hide-scrollbars --window-size=1440,1000"
SCHEME = "prefers-color-scheme"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Any]:
    """Start a browser for the tests of this module."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("headless Chromium absent: chromium and chromedriver are not on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0] or ""
    for argument in (*QUIETLY.split(), *ALONE.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(programs[1]))
    yield browser
    browser.quit()


@pytest.fixture
def page(chromium, server) -> Iterator[Any]:
    """Open the page of an emulator that the test can change, and leave it before the emulator ends."""
    chromium.get(f"{server.running.url}/")
    wait(lambda: "live" in text(chromium, "state"))
    yield chromium
    chromium.get("about:blank")
    chromium.get_log("browser")


def text(browser: Any, identifier: str) -> str:
    """Return what a part of the page says; the page may be drawing it anew."""
    return str(browser.execute_script(f"return document.getElementById('{identifier}').innerText"))


def wait(is_so: Callable[[], bool]) -> None:
    """Wait for what the page shows within a few polls."""
    limit = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_an_empty_account_says_how_to_begin(page, server):
    """The variable that leads a stack here, with this very address."""
    assert f"RUNPOD_API_URL={server.running.url}" in text(page, "endpoints")
    assert "no limit" in text(page, "tiles")
    assert "Nobody has asked" in text(page, "requests")


def test_what_is_made_appears_by_itself(page, server):
    """Endpoints, volumes, templates, registries and requests, without a reload."""
    volume = server.post("/v2/network-volumes", {"name": "models", "size": 200, "dataCenter": "EU-RO-1"})["id"]
    server.post("/v2/templates", {"name": "base", "image": "me/base:1", "serverless": True})
    server.post("/v2/registries", {"name": "private", "username": "u", "password": "canary"})
    made = server.create(name="vllm", networkVolumes=[volume], env={"TOKEN": "canary"})
    wait(lambda: "vllm" in text(page, "endpoints"))
    assert made["id"] in text(page, "endpoints") and "1 × ADA_24" in text(page, "endpoints")
    assert "models" in text(page, "networkVolumes") and "1 endpoint" in text(page, "networkVolumes")
    assert "base" in text(page, "templates") and "bound to vllm" in text(page, "templates")
    assert "private" in text(page, "registries")
    assert "networkVolumes" in text(page, "requests") and "201" in text(page, "requests")
    assert "canary" not in page.page_source
    server.delete(f"/v2/serverless/{made['id']}")
    wait(lambda: "vllm" not in text(page, "endpoints"))


def test_workers_are_seen_rolling_over(page, server):
    """From starting to idle, then one after the other to the next version."""
    made = server.create(name="rolling", workers={"min": 2, "max": 2})
    wait(lambda: text(page, "endpoints").count("initializing") == 2)
    server.running.advance(90)
    wait(lambda: text(page, "endpoints").count("idle") == 3)  # once for the idle time-out
    server.client.patch(f"/v2/serverless/{made['id']}", json={"image": "me/w:2"})
    wait(lambda: "rolling over to v2: 1 of 2" in text(page, "endpoints"))
    assert "idle, to be replaced" in text(page, "endpoints")
    server.running.advance(300)
    wait(lambda: "rolling over" not in text(page, "endpoints"))
    assert [chip.text for chip in page.find_elements(By.CLASS_NAME, "worker")] == ["v2\nidle", "v2\nidle"]


def test_the_budget_is_seen_shrinking(page, server):
    """The bar turns when little is left, and a refusal is marked."""
    server.running.set(quota=5, worker_quota=3)
    server.post("/v2/serverless", gpu_body(workers={"max": 2}))
    wait(lambda: "4\nof 5" in text(page, "tiles"))
    assert "2\nof 3" in text(page, "tiles")
    for _ in range(4):
        server.get("/v2/serverless")
    assert server.client.get("/v2/serverless").status_code == 429
    wait(lambda: "0\nof 5" in text(page, "tiles"))
    assert page.find_elements(By.CSS_SELECTOR, ".bar.low")
    assert page.find_elements(By.CSS_SELECTOR, "#requests .refused")


def test_a_fault_is_named(page, server):
    """Also where no answer was given."""
    server.running.fault("reset-before", "POST")
    wait(lambda: "1 fault ordered" in text(page, "tiles"))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        server.client.post("/v2/serverless", json=gpu_body())
    wait(lambda: "fault: reset-before" in text(page, "requests"))
    assert "no answer" in text(page, "requests")


def test_a_name_is_text_and_nothing_else(page, server):
    """What somebody calls an endpoint does not run."""
    name = "<img src=x onerror=\"document.title='run'\"><b>bold</b>"
    server.create(name=name, image=name)
    server.client.get(f"/v2/serverless/{name}?{name}=1")
    wait(lambda: name in text(page, "endpoints"))
    assert page.title == "Runpod emulator"
    assert not page.find_elements(By.TAG_NAME, "img")


def test_the_page_is_alone(page, server):
    """It asks its own emulator and nobody else, and complains of nothing."""
    wait(lambda: len(fetched(page)) >= 2)
    assert set(fetched(page)) == {f"{server.running.url}/_emulator/overview"}
    assert page.get_log("browser") == []
    assert server.running.requests() == []


def fetched(browser: Any) -> list[str]:
    """Return what the page has asked for after itself."""
    found: list[str] = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    return found


def test_the_page_says_when_nobody_answers(page, server):
    """What it shows then is old."""
    server.running.__exit__(None, None, None)
    wait(lambda: "has the emulator ended?" in text(page, "state"))


def test_a_thousand_endpoints_are_shown_in_part(page, server):
    """The newest ones, and how many there are."""
    server.running.seed(endpoints=[{"name": f"endpoint-{number}"} for number in range(1000)])
    wait(lambda: "and 800 more" in text(page, "endpoints"))
    assert "endpoint-999" in text(page, "endpoints") and "endpoint-799\n" not in text(page, "endpoints")


@pytest.mark.parametrize("width", [1440, 980, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_readable(page, server, scheme, width):
    """On any width nothing sticks out, and every text stands out from its ground."""
    busy(server)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": SCHEME, "value": scheme}]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wait(lambda: "rolling over" in text(page, "endpoints"))
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        assert page.execute_script(FAINT) == []
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_picture_of_it_can_be_taken(page, server, tmp_path):
    """The one in the documentation is made here."""
    server.running.set(quota=60)
    busy(server)
    wait(lambda: "rolling over" in text(page, "endpoints") and "fault:" in text(page, "requests"))
    height = page.execute_script("return document.querySelector('main').getBoundingClientRect().bottom")
    size = {"width": 1440, "height": int(height), "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    time.sleep(2)  # the rows that have just come are coloured
    try:
        picture = PICTURE if os.environ.get("KEEP_SCREENSHOT") else tmp_path / "page.png"
        picture.parent.mkdir(exist_ok=True)
        assert page.save_screenshot(str(picture))
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert picture.stat().st_size > 50_000


FAINT = """
const channels = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const colour = channels(getComputedStyle(node).backgroundColor);
    if (colour.length === 3 || colour[3] > 0) return colour;
  }
};
const faint = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
  if (!own || ["SCRIPT", "STYLE"].includes(node.tagName)) continue;
  const [high, low] = [light(channels(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
  if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(`${node.className}: ${node.textContent}`);
}
return faint;
"""


def busy(server: Any) -> None:
    """Make an account in which much is going on."""
    server.running.set(worker_quota=20)
    volume = server.post("/v2/network-volumes", {"name": "models", "size": 200, "dataCenter": "EU-RO-1"})["id"]
    server.post("/v2/network-volumes", {"name": "datasets", "size": 1000, "dataCenter": "US-KS-2", "type": "HIGH_PERFORMANCE"})
    server.post("/v2/registries", {"name": "private-images", "username": "u", "password": "p"})
    server.post("/v2/templates", {"name": "llm-base", "image": "me/llm-base:7", "serverless": True, "disk": 64})
    rolling = server.create(
        name="vllm-server-4f2a91c",
        image="runpod/worker-vllm:stable-cuda12.1.0",
        gpu={"pools": ["AMPERE_80"], "excludedTypes": ["NVIDIA A100-SXM4-80GB"]},
        env={"MODEL_NAME": "x", "HF_TOKEN": "y"},
        networkVolumes=[volume],
        dataCenterIds=["EU-RO-1"],
        workers={"min": 3, "max": 5, "idleTimeout": 60},
    )
    cpu = cpu_body(name="data-processor-77b0e3d", image="runpod/flash-cpu:py3.12-latest", cpu=[{"id": "cpu5c", "vcpuCount": 4}])
    sick = server.post("/v2/serverless", {**cpu, "workers": {"min": 1, "max": 2}, "dataCenterIds": ["EU-RO-1"]})
    balancer = {"type": "LOAD_BALANCER", "scaling": {"type": "REQUEST_COUNT", "requestCount": 4}, "ports": ["8000/http"]}
    waiting = {"gpu": {"pools": ["BLACKWELL_180"]}, "dataCenterIds": ["EU-RO-1"], "workers": {"min": 1, "max": 6}}
    api = server.create(name="api", image="me/api:1", **balancer, **waiting)
    server.client.post("/v2/serverless", json=gpu_body(workers={"max": 9}))
    server.running.mutate("endpoints", sick["id"], _isUnhealthy=True)
    server.running.advance(200)
    server.running.fault("commit-then-status", "PATCH", status=502)
    server.client.patch(f"/v2/serverless/{api['id']}", json={"workers": {"min": 2, "max": 6, "idleTimeout": 60}})
    server.client.get("/v2/catalog/gpus", params={"include": "AVAILABILITY", "product": "SERVERLESS"})
    server.client.patch(f"/v2/serverless/{rolling['id']}", json={"image": "runpod/worker-vllm:stable-cuda12.4.1"})
    server.running.advance(70)
