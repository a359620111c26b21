"""Loudness of one file out of its level series: waveform and loud sections."""
