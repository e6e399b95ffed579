"""Which adapter speaks to a provider."""

from typing import Literal

from batches.providers import Provider
from batches.providers.openai_videos import OpenAIVideos
from batches.providers.veo import Veo

Kind = Literal["openai", "openai-form", "veo"]


def adapter(
    kind: Kind, base_url: str, api_key: str, *, submit_timeout_seconds: float, download_timeout_seconds: float
) -> Provider:
    """Return the adapter of a kind, for a base URL and key.

    `openai` speaks the OpenAI Videos format and creates with JSON, `openai-form` with a form, as vLLM-Omni wants
    it; `veo` speaks Google's Gemini API.
    """
    if kind == "veo":
        return Veo(
            base_url,
            api_key,
            submit_timeout_seconds=submit_timeout_seconds,
            download_timeout_seconds=download_timeout_seconds,
        )
    return OpenAIVideos(
        base_url,
        api_key,
        body_format="form" if kind == "openai-form" else "json",
        submit_timeout_seconds=submit_timeout_seconds,
        download_timeout_seconds=download_timeout_seconds,
    )
