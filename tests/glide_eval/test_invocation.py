from __future__ import annotations

from glide_eval.cli.invocation import from_here, next_command, typed_command


def test_the_typed_command_can_be_typed_again(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/opt/x/bin/glide-eval", "sweep", "my sweep.toml"])
    assert typed_command() == "glide-eval sweep 'my sweep.toml'"


def test_the_next_command_is_short_when_the_program_is_on_the_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = tmp_path / ".venv" / "bin" / "glide-eval"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(program), "demo"])
    monkeypatch.setenv("PATH", "")
    assert next_command("study", "serve", "my run") == ".venv/bin/glide-eval study serve 'my run'"
    monkeypatch.setenv("PATH", str(program.parent))
    assert next_command("metrics", "r") == "glide-eval metrics r"


def test_paths_below_the_current_folder_are_shown_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert from_here(tmp_path / "a" / "b.toml") == "a/b.toml"
    assert from_here(tmp_path.parent / "c.toml") == str(tmp_path.parent / "c.toml")
