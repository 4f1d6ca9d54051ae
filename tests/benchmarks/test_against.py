"""Two versions in turn, with stub commands: order, ratios and their spread, what a failure says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.versions import judge
from benchmarks.versions.compare import Progress, compare, ratio
from benchmarks.versions.environment import Version, VersionError, checkout, commit_of, here
from benchmarks.versions.measure import CommandFailed, Cost, run
from benchmarks.versions.works import VIEWS, Work, works

from benchmarks import against


def versions(tmp_path: Path) -> tuple[Version, Version]:
    return Version("old", tmp_path, Path(sys.executable)), Version("now", tmp_path, Path(sys.executable))


def work(name: str, needs: str | None = None) -> Work:
    return Work(name, lambda v, f: [v.name, name], needs)


def silent(count: int, names: tuple[str, ...] = ("create",)) -> Progress:
    return Progress([n for n in names for _ in range(count)], lambda text: None)


def test_both_run_in_turn_and_the_warm_up_does_not_count(tmp_path: Path) -> None:
    ran: list[str] = []
    took = {"old": iter([90, 10.0, 10, 20]), "now": iter([80, 20.0, 5, 30])}

    def stub(command: list[str], environ: dict[str, str], log: Path, inside: bool) -> Cost:
        assert environ["PYTHONPATH"] == str(tmp_path / "src") and log.name == "create.log"
        ran.append(command[0])
        return Cost(next(took[command[0]]), 1.0, 100.0)

    result = compare(versions(tmp_path), [work("create")], 3, tmp_path / "runs", stub, silent(8))
    assert ran == ["old", "now"] * 4
    assert [c.cpu for c in result.costs["create"][0]] == [10, 10, 20]
    found = against.ratios(result.costs["create"])
    assert found["cpu"] == (1.5, 0.5, 2.0, 3)  # of 2, .5 and 1.5: round by round, not of the medians
    table = against.report(result, ("old", "now"))
    assert "| create | 10.00 | 20.00 | 1.500 (0.500 to 2.000) | 1.000 (1.000 to 1.000) |" in table
    stored = json.loads(json.dumps(against.as_json(result, ("old", "now"))))
    assert stored["create"]["ratio"]["cpu"] == {"middle": 1.5, "least": 0.5, "most": 2.0, "n": 3}
    assert stored["create"]["now"][1] == {"cpu": 5.0, "wall": 1.0, "peak_mb": 100.0}


def test_a_failure_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    def stub(command: list[str], environ: dict[str, str], log: Path, inside: bool) -> Cost:
        if command == ["now", "create"]:
            raise CommandFailed("exit code 2: headcast: no face found (all of it: create.log)")
        return Cost(1.0, 1.0, 1.0)

    told: list[str] = []
    names = ("create", "render", "splat")
    progress = Progress([n for n in names for _ in range(4)], told.append)
    every = [work("create"), work("render", needs="create"), work("splat")]
    result = compare(versions(tmp_path), every, 1, tmp_path, stub, progress)
    assert list(result.costs) == ["splat"]
    assert result.failures["create"].startswith("create of now: exit code 2: headcast: no face found")
    assert result.failures["render"] == "needs create, which failed"
    assert any(t.startswith("against: failed: create of now: exit code 2") for t in told)
    assert "4/4 splat of now" not in told[-1] and "splat of now" in told[-1] and "0 s left" in told[-1]
    assert "failed: needs create" in against.report(result, ("old", "now"))


MEASURE = """
import json, sys
from pathlib import Path
from benchmarks.versions.measure import run

burn = "import time\\nwhile time.process_time() < {}: pass"
child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn.format(.9)!r}])"
costs = [
    run([sys.executable, "-c", script], {}, Path(sys.argv[1]) / "x.log")
    for script in (burn.format(.3), child + "; x = b'1' * 200_000_000")
]
print(json.dumps(costs))
"""


def test_processes_are_measured_with_their_children(root: Path, tmp_path: Path) -> None:
    # by a small process, as in use: a child's peak begins at that of its parent
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    )
    small, large = (Cost(*c) for c in json.loads(done.stdout))
    assert 0.3 <= small.cpu < 0.7 < 0.9 <= large.cpu < 1.6
    assert small.peak_mb < 100 and 190 < large.peak_mb < 300
    assert small.wall > 0.25


def test_a_loop_that_times_itself(tmp_path: Path) -> None:
    script = "print('words'); print('{\"cpu\": 5, \"wall\": 7}')"
    inside = run([sys.executable, "-c", script], {}, tmp_path / "c.log", timed_inside=True)
    assert (inside.cpu, inside.wall) == (5, 7) and inside.peak_mb > 1


def test_a_command_that_fails_says_what_it_said(tmp_path: Path) -> None:
    script = "import sys; print('first'); sys.exit('headcast: me.jpg: no face found')"
    with pytest.raises(CommandFailed, match=r"exit code 1: .*me\.jpg: no face found .*x\.log") as e:
        run([sys.executable, "-c", script], {}, tmp_path / "x.log")
    assert "\n" not in str(e.value)


def test_ratio() -> None:
    assert ratio([1, 2, 4, 1], [1, 1, 8, 3]) == (1.5, 0.5, 3.0, 4)
    with pytest.raises(ValueError):
        ratio([1], [1, 2])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose package is one line, with a second version that is not committed."""
    root = tmp_path / "repository"
    package = root / "src" / "headcast"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("version = 1\n")
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    (package / "__init__.py").write_text("version = 2\n")
    return root


def test_a_revision_in_a_worktree_of_its_own(repository: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    tree = checkout(repository, "HEAD", cache)
    assert tree == checkout(repository, "HEAD", cache)  # kept
    both = Version("old", tree, Path(sys.executable)), here(repository)
    answers = []
    for v in both:
        v.check()
        words = [sys.executable, "-c", "import headcast; print(headcast.version)"]
        done = subprocess.run(words, env=v.environ(), capture_output=True, text=True, check=True)
        answers.append(done.stdout.strip())
    assert answers == ["1", "2"]
    with pytest.raises(VersionError, match="nonsense: no such revision"):
        commit_of(repository, "nonsense")
    (repository / "more").write_text("")
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["add", "."], [*identity, "commit", "-qm", "two"]):
        subprocess.run(["git", "-C", str(repository), *words], check=True)
    with pytest.raises(VersionError, match="give another --cache"):
        checkout(repository, "HEAD", cache)
    (tree / "src" / "headcast" / "__init__.py").write_text("import nothing_of_this_name")
    with pytest.raises(VersionError, match=r"old: headcast cannot be imported.*nothing_of_this_name"):
        both[0].check()


def test_the_whole_with_stub_commands(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "import headcast, time\nend = .4 * headcast.version\nwhile time.process_time() < end: pass"
    stub = (Work("import", lambda v, f: [str(v.python), "-c", script]),)
    monkeypatch.setattr(against, "ROOT", repository)
    monkeypatch.setattr(against, "works", lambda photo, frames: stub)
    environment = tmp_path / "venv" / "bin"
    environment.mkdir(parents=True)
    (environment / "python").symlink_to(sys.executable)
    words = ["HEAD", "--rounds", "2", "--only", "import", "--photo", "me.jpg"]
    places = ["--environment", str(tmp_path / "venv"), "--json", str(tmp_path / "out.json")]
    assert against.main([*words, *places]) == 0
    said = capsys.readouterr()
    assert "against: 6/6 import of now" in said.err and "| import |" in said.out
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["rounds"] == 2 and len(found["works"]["import"]["now"]) == 2
    assert 1.4 < found["works"]["import"]["ratio"]["cpu"]["middle"] < 2.4
    assert against.main(["nonsense", "--photo", "me.jpg"]) == 2
    assert "against: nonsense: no such revision" in capsys.readouterr().err


def test_works_speak_to_the_public_surface_alone(tmp_path: Path) -> None:
    old = versions(tmp_path)[0]
    commands = {w.name: w.command(old, tmp_path) for w in works(Path("me.jpg"), 100)}
    assert set(commands) | {"images"} == set(against.NAMES)
    for name in ("create", "mesh", "animate", "render"):
        assert commands[name][1:3] == ["-m", "headcast"]
    assert {w.needs for w in against.chosen(works(Path(), 1), ["runtime", "images"])} == {None, "create"}
    for name in ("runtime", "splat"):
        assert Path(commands[name][2]).is_file()


def test_images_are_judged_by_region_and_against_each_other() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (64, 64, 3), np.uint8)
    person = np.zeros((64, 64), bool)
    person[8:56, 8:56] = True
    face = np.zeros((64, 64), bool)
    face[24:40, 24:40] = True
    rendering = np.dstack([rgb, np.full((64, 64), 255, np.uint8)])
    worse = rendering.copy()
    worse[10:20, 10:20, :3] //= 2  # off the face
    truth = judge.Truth(rgb, person, face)
    perfect, spoilt = judge.score(truth, rendering), judge.score(truth, worse)
    assert perfect.person_psnr > 100 and perfect.face_ssim == pytest.approx(1)
    assert spoilt.person_psnr < 30 and spoilt.face_psnr == perfect.face_psnr
    assert judge.agreement(rendering, rendering)[0] > 100 > judge.agreement(rendering, worse)[0]
    with pytest.raises(SystemExit, match="pixels"):
        judge.score(truth, rendering[:32])
    assert "source" in VIEWS


def test_the_run_of_all_benchmarks_leaves_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import __main__ as every

    ran: list[str] = []

    def stub(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command[-1].removeprefix("benchmarks."))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(every.subprocess, "run", stub)
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    assert every.main() == 0
    assert "avatar" in ran and not {"against", "versions", "harness"} & set(ran)
