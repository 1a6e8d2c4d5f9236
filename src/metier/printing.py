"""The report and the dossier as PDF, printed by a browser that is already there.

Purpose: `metier pdf RUN` turns report.html and the pages of the dossier into PDF files with their signature blocks, and
into one file that can be signed and filed.
Trade-off: a browser prints what the reader sees, with the style sheet's rules for paper; Chromium is asked first, and
WeasyPrint where it is installed. Neither is a dependency: a machine without them is told what to install.
Not covered: electronic signatures. The bytes of a PDF change with the printer; the HTML pages are what is reproducible.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from metier.console import Console
from metier.errors import UserError, need

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PAGES = ("report.html", "dossier/data-card.html", "dossier/annex-iv.html", "dossier/gbt-45654.html",
         "dossier/lineage.html")  # fmt: skip
SECONDS = 120  # a page of a few hundred kilobytes prints in two


def print_run(folder: Path, language: str, out: Path, console: Console) -> list[Path]:
    """Print the pages of a run's folder into `out`; returns the files, the one that holds all last.

    language: "en", "zh", or "" for the one that the pages open in. UserError without pages or without a printer.
    """
    pages = [page for page in PAGES if (folder / page).is_file()]
    if "report.html" not in pages:
        raise UserError("this run has no report", str(folder), "name a folder of runs/, or run the recipe again")
    printer = find_printer()
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with console.progress("printing", len(pages), "pages") as meter, tempfile.TemporaryDirectory() as temporary:
        for page in pages:
            source = Path(temporary) / Path(page).name
            html = (folder / page).read_text(encoding="utf-8")
            source.write_text(chosen(html, language), encoding="utf-8")
            target = out / f"{Path(page).stem}.pdf"
            _print(printer, source, target)
            written.append(target)
            meter.advance(1)
    whole = out / "dossier.pdf"
    join(written, whole)
    return [*written, whole]


def find_printer() -> str:
    """Path of a browser, or "weasyprint"; UserError without either. METIER_CHROMIUM names one that is elsewhere."""
    named = os.environ.get("METIER_CHROMIUM")
    if named:
        if not (found := shutil.which(named)):
            raise UserError("there is no such program", f"METIER_CHROMIUM={named}", "name the browser's file")
        return found
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    if importlib.util.find_spec("weasyprint"):
        return "weasyprint"
    raise UserError(
        "nothing here can print a page: no Chromium and no WeasyPrint", "metier pdf",
        "install Chromium (apt install chromium) or WeasyPrint (pip install weasyprint), or print from a browser",
    )  # fmt: skip


def chosen(html: str, language: str) -> str:
    """The page with another language chosen: what the two switches at its top do."""
    if not language:
        return html
    pick = re.compile(r'(<input class="pick"[^>]*?id="pick-(\w+)"[^>]*?)( checked)?>')
    return pick.sub(lambda found: f"{found[1]}{' checked' if found[2] == language else ''}>", html)


def join(files: Sequence[Path], target: Path) -> None:
    """One PDF with the pages of all, in order."""
    pdfium = need("pypdfium2", "documents")
    whole = pdfium.PdfDocument.new()
    for file in files:
        with pdfium.PdfDocument(file) as part:
            whole.import_pages(part)
    whole.save(target)
    whole.close()


def _print(printer: str, source: Path, target: Path) -> None:
    if printer == "weasyprint":
        need("weasyprint", "").HTML(filename=str(source)).write_pdf(str(target))
        return
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox refuses to run as root
    with tempfile.TemporaryDirectory() as profile:
        command = [printer, "--headless", "--disable-gpu", "--disable-background-networking", "--no-pdf-header-footer",
                   f"--user-data-dir={profile}", *(["--no-sandbox"] if root else []), f"--print-to-pdf={target}",
                   source.as_uri()]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"the browser did not print within {SECONDS} s", printer, "close other windows") from error
    if done.returncode or not target.is_file():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"the browser did not print: {last[:200]}", printer, "set METIER_CHROMIUM to another browser")
