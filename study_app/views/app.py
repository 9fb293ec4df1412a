"""The Streamlit script: a page for raters, a page for the owner."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from study_app.serving import settle
from study_app.views import rate  # by its full name: Streamlit runs this file outside its package


def _owner() -> None:
    from study_app.views import owner  # brings in pandas and charts, which no rater needs

    owner.page()


st.set_page_config(
    page_title="Compare images",
    page_icon=Path(__file__).with_name("static") / "icon.png",  # an emoji would come from the net
    initial_sidebar_state="collapsed",
)
page = st.navigation(
    [
        st.Page(rate.page, title="Compare images", url_path="rate", default=True),
        st.Page(_owner, title="Study", url_path="owner"),
    ],
    position="hidden",
)
page.run()
settle(page.url_path)
