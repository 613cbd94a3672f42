# SPDX-License-Identifier: MIT
"""`python -m app` is `nerfviewer`."""

from app.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
