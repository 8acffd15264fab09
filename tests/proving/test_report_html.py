"""The page, opened in a real browser: what is on it, that search and filter work, that it needs no network."""

from __future__ import annotations

import html
import json
import re
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

import remap
from remap import verify
from remap.report.html import result_page, verified_page
from remap.sides.keras.spec import ModelSource, load_model_builder

PROBE = """<script>
addEventListener("load", () => {
  const count = (id) => document.querySelectorAll(id).length;
  const found = { rows: count("#layers-body tr"), variables: count("#variables-body tr"), dots: count(".plot .dot") };
  const type = (id, text) => {
    document.getElementById(id).value = text;
    document.getElementById(id).dispatchEvent(new Event("input"));
  };
  type("layers-search", "SEARCHED");
  found.searched = [...document.querySelectorAll("#layers-body tr td:nth-child(2)")].map((cell) => cell.textContent);
  type("layers-search", "");
  const buttons = [...document.querySelectorAll("#layers-filters button")];
  const differs = buttons.find((button) => button.textContent.startsWith("differs"));
  if (differs) differs.click();
  found.differs = count("#layers-body tr");
  const first = document.querySelector("#variables-body tr");
  if (first) first.click();
  found.detail = document.getElementById("detail-title").textContent;
  found.bars = [count("#detail-body rect.torch"), count("#detail-body rect.keras")];
  found.wide = document.documentElement.scrollWidth > innerWidth;
  found.background = getComputedStyle(document.body).backgroundColor;
  found.hidden = document.getElementById("layers").hidden;
  found.more = !document.getElementById("variables-more").hidden;
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>"""


@pytest.fixture
def browse(tmp_path):
    """Opens a page in Chromium, and gives what the probe saw of it."""

    def run(page, searched="", *flags):
        path = tmp_path / "page.html"
        path.write_text(page.replace("</body>", PROBE.replace("SEARCHED", searched) + "</body>"), "utf-8")
        done = chromium(path, "--dump-dom", *flags)
        told = re.search(r'<pre id="found">(.*?)</pre>', done, re.DOTALL)
        assert told is not None, done[-2000:]
        return json.loads(html.unescape(told[1]))

    return run


def chromium(path, *flags):
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--virtual-time-budget=9000",
    ]
    done = subprocess.run([*command, *flags, path.as_uri()], capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def resnet_page():
    """The page of a proof of the thin ResNet, one layer of the model set otherwise."""
    folder = Path(__file__).parents[2] / "fixtures/resnet"
    right = load_model_builder(f"{folder / 'keras_model.py'}:build")

    def build():
        model = right.build()
        model.get_layer("conv4_block3_2_relu").negative_slope = 0.2
        return model

    source = ModelSource("a ResNet with a slope", build)
    torch_model = f"{folder / 'torch_model.py'}:build"
    return verified_page(verify("resnet", folder / "thin_resnet50.pt", source, torch_model))


def test_the_page_of_a_proof(resnet_page, browse):
    for told in ("the outputs differ", "activation (proved)", "conv4_block3_2_relu", "layer3.2"):
        assert told in resnet_page
    assert not re.search(r"(src|href)=|url\(|@import|fetch\(|XMLHttpRequest", resnet_page)
    found = browse(resnet_page, "conv5_block1 bn")
    assert found["dots"] == 107
    assert found["rows"] == 60
    assert found["searched"] == [f"conv5_block1_{n}_bn" for n in (0, 1, 2, 3)]
    assert 0 < found["differs"] <= 60
    assert found["detail"] == "Weights of conv1_conv"
    assert min(found["bars"]) > 10
    assert found["more"]
    assert not found["wide"]


def test_the_page_on_a_phone_and_in_the_dark(resnet_page, browse):
    phone = browse(resnet_page, "", "--window-size=500,900")
    assert not phone["wide"]
    assert phone["background"] == "rgb(255, 255, 255)"
    dark = browse(resnet_page, "", "--blink-settings=preferredColorScheme=0")
    assert dark["background"] == "rgb(21, 23, 26)"


def test_the_page_is_drawn(resnet_page, tmp_path):
    path, picture = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(resnet_page, "utf-8")
    chromium(path, f"--screenshot={picture}", "--window-size=1000,1400")
    pixels = png(picture.read_bytes())
    colours = {tuple(pixel) for pixel in pixels.reshape(-1, pixels.shape[-1])[:, :3]}
    assert (196, 48, 43) in colours  # the bar of a bad verdict, the dots of layers that differ
    assert (24, 121, 78) in colours  # the dots of layers that are equal


def png(data):
    """Pixels of an 8-bit PNG without interlace, as Chromium writes them."""
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8
    channels = {2: 3, 6: 4}[kind]
    packed, at = b"", 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += length + 12
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    rows = np.zeros((height + 1, width + 1, channels), np.int32)
    for y, line in enumerate(lines, 1):
        rows[y, 1:] = unfiltered(line[0], line[1:].reshape(width, channels).astype(np.int32), rows[y - 1])
    return rows[1:, 1:].astype(np.uint8)


def unfiltered(kind, line, above):
    if kind == 0:
        return line
    if kind == 2:
        return (line + above[1:]) % 256
    if kind == 1:
        return np.cumsum(line, axis=0) % 256
    row = np.zeros((len(line) + 1, line.shape[1]), np.int32)
    for x in range(len(line)):
        left, up, corner = row[x], above[x + 1], above[x]
        if kind == 3:
            guess = (left + up) // 2
        else:
            p = left + up - corner
            a, b, c = abs(p - left), abs(p - up), abs(p - corner)
            guess = np.where((a <= b) & (a <= c), left, np.where(b <= c, up, corner))
        row[x + 1] = (line[x] + guess) % 256
    return row[1:]


def test_the_page_of_a_conversion_has_no_layers(fixtures, browse):
    plan = remap.plan("resnet", fixtures / "resnet/thin_resnet50.pt")
    page = result_page(plan)
    assert "planned; nothing was written" in page
    assert "source: 320 tensors = 267 used + 53 ignored" in page
    found = browse(page)
    assert found["hidden"]
    assert found["dots"] == 0
    assert found["variables"] == 60
    assert found["detail"] == "Weights of conv1_conv"
    assert min(found["bars"]) > 10


def test_thousands_of_rows_can_be_searched(fixtures, browse):
    from dataclasses import replace

    plan = remap.plan("resnet", fixtures / "resnet/thin_resnet50.pt")
    many = [replace(entry, name=f"copy{n}/{entry.name}") for n in range(16) for entry in plan.assignments]
    page = result_page(replace(plan, assignments=tuple(many)))
    found = browse(page)
    assert len(many) > 5000
    assert found["variables"] == 60
    assert found["more"]


def test_names_cannot_break_the_page(fixtures, browse):
    from dataclasses import replace

    plan = remap.plan("resnet", fixtures / "resnet/thin_resnet50.pt")
    evil = "</script><script>document.title='taken'</script>"
    first, *rest = plan.assignments
    page = result_page(replace(plan, assignments=(replace(first, name=f"{evil}/kernel"), *rest)))
    assert evil not in page
    assert browse(page)["detail"] == f"Weights of {evil.rpartition('/kernel')[0] or evil}"
