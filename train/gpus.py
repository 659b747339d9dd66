"""GPUs by name, as their makers' data sheets have them: what `python -m train plan` computes with."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU; rates without sparsity."""

    bf16_tflops: float  # products in bfloat16, sums in float32
    memory_gb: float  # 10^9 bytes
    bandwidth_tb_per_s: float
    power_w: float  # what it may draw at most
    source: str
    measured_tflops: float | None = None  # of large matrix products in bfloat16, where somebody measured

    @property
    def matmul_tflops(self) -> float:
        """What large matrix products reach: measured, or else the data sheet's share that the H200's did."""
        return self.measured_tflops or MATMUL_SHARE * self.bf16_tflops


# 790 TFLOP/s were measured on an H200 of 989.
MATMUL_SHARE = 0.8

GPUS: dict[str, Gpu] = {
    "b200": Gpu(
        bf16_tflops=2250,
        memory_gb=180,
        bandwidth_tb_per_s=7.7,
        power_w=1000,
        source="NVIDIA Blackwell data sheet, HGX B200",
    ),
    "h200": Gpu(
        bf16_tflops=989,
        memory_gb=141,
        bandwidth_tb_per_s=4.8,
        power_w=700,
        source="NVIDIA H200 data sheet, SXM",
        measured_tflops=790,
    ),
    "h100": Gpu(
        bf16_tflops=989,
        memory_gb=80,
        bandwidth_tb_per_s=3.35,
        power_w=700,
        source="NVIDIA H100 data sheet, SXM",
    ),
    "h100_pcie": Gpu(
        bf16_tflops=756,
        memory_gb=80,
        bandwidth_tb_per_s=2.0,
        power_w=350,
        source="NVIDIA H100 data sheet, PCIe",
    ),
    "a100": Gpu(
        bf16_tflops=312,
        memory_gb=80,
        bandwidth_tb_per_s=2.039,
        power_w=400,
        source="NVIDIA A100 data sheet, SXM 80 GB",
    ),
    "a100_40gb": Gpu(
        bf16_tflops=312,
        memory_gb=40,
        bandwidth_tb_per_s=1.555,
        power_w=400,
        source="NVIDIA A100 data sheet, SXM 40 GB",
    ),
    "l40s": Gpu(
        bf16_tflops=362,
        memory_gb=48,
        bandwidth_tb_per_s=0.864,
        power_w=350,
        source="NVIDIA L40S data sheet",
    ),
    "a10": Gpu(
        bf16_tflops=125,
        memory_gb=24,
        bandwidth_tb_per_s=0.6,
        power_w=150,
        source="NVIDIA A10 data sheet",
    ),
    "rtx4090": Gpu(
        bf16_tflops=165,
        memory_gb=24,
        bandwidth_tb_per_s=1.008,
        power_w=450,
        source="NVIDIA Ada architecture paper, appendix A",
    ),
    "mi300x": Gpu(
        bf16_tflops=1307,
        memory_gb=192,
        bandwidth_tb_per_s=5.3,
        power_w=750,
        source="AMD Instinct MI300X data sheet",
    ),
}
