# SPDX-License-Identifier: Apache-2.0
"""A whole OpenStack in the lab: Debian's services on a controller, and both hosts of the lab as compute hosts."""
