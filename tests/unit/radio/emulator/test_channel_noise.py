import numpy as np
from scipy import stats

from radio.emulator.channel.noise import noise_block, noise_block_plain


def test_kernel_agrees_with_definition():
    for n, key, block in [(15361, 12345, 7), (1, 0, 0), (4099, 2**64 - 1, 10**7)]:
        kernel, plain = noise_block(n, 0.5, key, block), noise_block_plain(n, 0.5, key, block)
        assert np.abs(kernel - plain).max() < 1e-5


def test_a_block_does_not_depend_on_its_length_or_on_the_others():
    long = noise_block(15360, 1.0, 99, 5)
    noise_block(100, 1.0, 99, 4)
    assert np.array_equal(noise_block(100, 1.0, 99, 5), long[:100])
    assert not np.array_equal(noise_block(100, 1.0, 99, 6), long[:100])
    assert not np.array_equal(noise_block(100, 1.0, 98, 5), long[:100])


def test_noise_is_white_and_gaussian():
    z = np.concatenate([noise_block(15360, np.sqrt(2), 2024, b).view(np.float32) for b in range(60)]).astype(float)
    n = len(z)
    assert abs(z.mean()) * np.sqrt(n) < 4
    assert abs(z.var() - 1) * np.sqrt(n / 2) < 4
    assert abs(stats.skew(z)) * np.sqrt(n / 6) < 4
    assert abs(stats.kurtosis(z)) * np.sqrt(n / 24) < 4
    assert stats.kstest(z, "norm").pvalue > 1e-4
    for lag in (1, 2, 3, 4, 8, 16, 1024, 30720):
        assert abs(np.dot(z[:-lag], z[lag:])) / np.sqrt(n) < 4.5
    tail = 2 * stats.norm.sf(4) * n
    assert abs((np.abs(z) > 4).sum() - tail) < 5 * np.sqrt(tail)


def test_noise_power():
    power = np.mean([np.mean(np.abs(noise_block(15360, 0.25, 3, b)) ** 2) for b in range(50)])
    assert abs(power / 0.0625 - 1) < 0.01
