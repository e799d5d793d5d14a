"""What no test of behaviour sees: which way imports run, and that every model has its migration."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent


def test_imports_run_one_way():
    lint = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"

    # In a process of its own: it imports the apps afresh and colours the terminal.
    linted = subprocess.run(
        [sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert linted.returncode == 0, linted.stdout
    assert "9 kept, 0 broken" in linted.stdout


@pytest.mark.django_db
def test_every_change_of_a_model_has_its_migration():
    output = StringIO()

    try:
        call_command("makemigrations", check=True, dry_run=True, stdout=output)
    except SystemExit:
        pytest.fail(output.getvalue())
