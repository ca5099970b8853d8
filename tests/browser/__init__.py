"""Tests in a real browser: Debian's chromium, without a screen."""
