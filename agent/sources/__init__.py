"""What can be recorded. Adding a source type is a file here and a line below."""

from agent.config import AlsaSettings, IcecastSettings, SourceSettings, TestSettings
from agent.sources.alsa import AlsaSource
from agent.sources.base import Source
from agent.sources.icecast import IcecastSource
from agent.sources.signal import SignalSource


def source_for(settings: SourceSettings) -> Source:
    """The source that the settings describe."""
    match settings:
        case AlsaSettings():
            return AlsaSource(settings)
        case IcecastSettings():
            return IcecastSource(settings)
        case TestSettings():
            return SignalSource(settings)
