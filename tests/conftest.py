"""Settings every test shares."""

from lab_scripts.kernel_cache import use_kernel_cache

use_kernel_cache()
