"""`python -m runpod_serverless_provider.schema`: write schema.json, or print one of the README's tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..resources import FUNCTIONS, RESOURCES
from .emit import emit
from .tables import table


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Derive the schema and the README's tables from the models.")
    parser.add_argument("--write", metavar="FILE", help="write the schema to FILE")
    parser.add_argument("--table", metavar="NAME", help="print a table: configuration, or a resource's name in lower case")
    arguments = parser.parse_args()
    if arguments.write:
        Path(arguments.write).write_text(
            json.dumps(emit(RESOURCES, FUNCTIONS), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    if arguments.table:
        print(table(arguments.table, RESOURCES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
