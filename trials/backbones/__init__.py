"""The frozen models that trials share: what is known of them, how they are loaded and checked, their forward passes."""
