"""Recipes to paste into a trainer: one file for each trainer, with `recipe_text(advice, recipe)`."""
