"""The commands of `lrladder`, by what they are about; `benchmark.cli` puts them together."""
