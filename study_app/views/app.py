"""The Streamlit script: the owner's page. Raters' pages are `rate`'s, and need no Streamlit."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from study_app.serving import settle


def _owner() -> None:
    from study_app.views import owner  # brings in pandas and charts, which no rater needs

    owner.page()


st.set_page_config(
    page_title="Study",
    page_icon=Path(__file__).parent / "static/page/icon.png",  # an emoji would come from the net
    initial_sidebar_state="collapsed",
)
page = st.navigation(
    [
        st.Page(lambda: None, title="Compare images", url_path="rate", default=True),
        st.Page(_owner, title="Study", url_path="owner"),
    ],
    position="hidden",
)
page.run()
settle(page.url_path)
