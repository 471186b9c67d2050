"""Fetch, convert and load pretrained models for OpenVINO."""
