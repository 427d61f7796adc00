"""What this library costs and what it gains; `python -m benchmarks` lists the benchmarks."""
