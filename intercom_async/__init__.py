"""An async client that detaches contacts from Intercom conversations."""
