# SPDX-License-Identifier: Apache-2.0
"""The table of a profile: each sample counts once, in the right row; and which options a measured relay has."""

from lab.local_relay import shipped_options
from lab.profile import kind, rows

REPORT = """\
# Samples: 14K of event 'cpu-clock'
#
# Overhead|Shared Object|Symbol
    40.50%  |[kernel.kallsyms]  |[k] _copy_to_iter            |-      -            
    20.25%|[JIT] tid 7370|[.] boolean io.vmferry.nbd.TransmissionHandler.step()
    10.00%|[kernel.kallsyms]|[k] unix_stream_sendmsg
     9.25%|[kernel.kallsyms]|[k] filemap_get_read_batch
     5.00%|[kernel.kallsyms]|[k] never_heard_of_it
     5.00%|[vdso]|[.] __vdso_clock_gettime
     4.00%|libjvm.so|[.] G1Anything
     3.00%|libc.so.6|[.] preadv64v2
     3.00%|[kernel.kallsyms]|[k] do_epoll_wait
"""


def test_each_sample_is_in_one_row():
    table = dict(rows(REPORT))
    assert table["copying data"] == "40 %"
    assert table["Java code"] == "20 %"
    assert table["socket"] == "10 %"
    assert table["page cache and file system"] == "9 %"
    assert table["other parts of the kernel"] == "5 %"
    assert table["reading the clock"] == "5 %"
    assert table["JVM"] == "4 %"
    assert table["native libraries"] == "3 %"
    assert table["waiting and waking"] == "3 %"


def test_the_functions_follow_the_one_with_most_first():
    functions = [row for row in rows(REPORT) if row[0].startswith("`")]
    assert functions[0] == ["`_copy_to_iter`", "40.5 %"]
    assert len(functions) == 9


def test_a_name_of_the_kernel_elsewhere_is_not_the_kernels():
    assert kind("[JIT] tid 1", "void Some.unix()") == "Java code"


def test_a_measured_relay_has_the_options_that_are_shipped():
    options = shipped_options()
    assert "-XX:+UseG1GC" in options
    assert all(option.startswith("-X") for option in options)
