"""A file of mentions: handed in past this process's memory, its columns matched, imported with progress."""

from __future__ import annotations

from html import escape

import streamlit as st

from dialogue import accounts, requests, uploads
from pages.parts import context, look, notices, state, text


def waiting() -> bool:
    """Whether a file was handed in and waits for its columns, or is being imported."""
    return upload_id() is not None or state.request("import") is not None


def upload_id() -> str | None:
    """The file that was just handed in: its id comes back in the address bar."""
    return st.query_params.get("upload")


def show() -> None:
    """The steps: hand in a file, match its columns, import, see what was rejected."""
    if state.request("import") is not None:
        notices.wait_for("import", done=show_done)
        return
    handed_in = upload_id()
    if handed_in is None:
        show_form()
        return
    with look.telling_errors():
        show_mapping(handed_in, uploads.preview(context.ctx(), context.actor(), handed_in))


def show_form() -> None:
    """A form of the browser's own: the file goes to /uploads, which keeps it on disk and comes back here."""
    st.caption("CSV or JSON Lines, one post a line, up to 2 GB. Columns are matched in the next step.")
    csrf = accounts.csrf_of(context.ctx(), context.session_token()) or ""
    st.html(
        '<form class="samtal-upload" action="/uploads" method="post" enctype="multipart/form-data" target="_self">'
        f'<input type="hidden" name="csrf" value="{escape(csrf, quote=True)}">'
        '<label>File <input type="file" name="file" accept=".csv,.tsv,.jsonl,.ndjson,.txt" required></label> '
        '<button class="samtal-button" type="submit">Hand it in</button></form>'
    )


def show_mapping(handed_in: str, found: uploads.UploadPreview) -> None:
    """Which column is what, with the first lines as they will be read."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**Import {text.plain(found.name, 80)}** {look.grey(found.encoding_words)}")
        st.button("Not now", icon=":material/close:", type="tertiary", key="import_not", on_click=_leave)
    if found.problems:
        st.warning("\n".join(f"- {text.plain(problem, 400)}" for problem in found.problems), icon=":material/warning:")
    if found.sample_rows:
        # A few lines high: the button below, and the progress that takes this place, stay on one screen.
        st.dataframe(list(found.sample_rows), hide_index=True, height=180)
    with st.form("mapping", border=True):
        cells = st.columns(4)
        mapping = {}
        for place, field in enumerate(found.fields):
            guess = found.mapping.get(field)
            options = ["", *found.columns]
            mapping[field] = cells[place % 4].selectbox(
                found.labels.get(field, field),
                options,
                index=options.index(guess) if guess in options else 0,
                format_func=lambda name: text.shorten(text.tidy(name), 60) or "(none)",
                key=f"map_{field}",
            )
        st.caption("Text is needed. A row without a date gets the moment of the import, marked as an estimate.")
        label = st.text_input("Name of this source here", text.shorten(found.name, 80), max_chars=100)
        if st.form_submit_button("Import", type="primary", icon=":material/upload:"):
            with look.telling_errors():
                chosen = {field: column for field, column in mapping.items() if column}
                state.set_request(
                    "import", uploads.start_import(context.ctx(), context.actor(), handed_in, chosen, label)
                )
                st.query_params.pop("upload", None)
                st.rerun()


def _leave() -> None:
    st.query_params.pop("upload", None)


def show_done(view: requests.RequestView) -> None:
    """How it went, and the lines that could not be read."""
    st.success(text.plain(view.words or "Imported."), icon=":material/check:")
    if view.result.get("rejected"):
        st.markdown(f":material/block: {text.counted(int(view.result['rejected']), 'line')} could not be read.")
        st.html(
            f'<a class="samtal-button" href="/uploads/rejections/{int(view.id)}" target="_self" download>'
            "Report of rejected lines (CSV)</a>"
        )
    st.button("Done", key="import_done", on_click=state.set_request, args=("import", None))
