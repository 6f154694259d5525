# SPDX-License-Identifier: Apache-2.0
"""The lab guest: Debian's cloud kernel and an initramfs with the load."""
