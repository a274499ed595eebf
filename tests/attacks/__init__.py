"""The checklist of attacks over real sockets: which test shows which row.

| row | attack                                       | test                                                |
|-----|----------------------------------------------|-----------------------------------------------------|
| P1  | mutated messages, torture corpus             | `test_noise.py`, `../interop/test_torture.py`       |
| P2  | Content-Length of every bad kind             | `test_framing.py::test_p2_*`                        |
| P3  | smuggled header names                        | `test_framing.py::test_p3_*`                        |
| P4  | duplicated single headers                    | `test_framing.py::test_p4_duplicates`               |
| P5  | very long lists, bodies, start lines         | `test_size.py::test_p5_*`                           |
| P6  | regular expressions that explode             | `test_size.py::test_p5_headers[backtracking bait]`  |
| P7  | deep quotes, escapes, folds, comments        | `test_size.py::test_p5_headers`, these shapes       |
| P8  | other protocols on the port                  | `test_noise.py::test_p8_*`                          |
| P9  | fuzzing                                      | `make fuzz`; findings in `../fuzz_findings`         |
| S1  | many addresses-of-record, full tables        | `test_state.py::test_s1_*`, `test_bounds.py`        |
| S2  | calls that nobody answers or acknowledges    | `test_state.py::test_s2_*`                          |
| S3  | circles, forks into circles, Route to itself | `test_state.py::test_s3_*`                          |
| S4  | forged requests of a dialog, altered Route   | `test_dialogs.py::test_s4_*`                        |
| S5  | races of finals, reflection, branch case     | `test_dialogs.py::test_s5_*`                        |
| S6  | stray and spoofed responses                  | `test_state.py::test_s6_*`                          |
| N1  | idle, dripping and unfinished connections    | `test_connections.py::test_n1_*`                    |
| N2  | descriptors used up                          | `test_connections.py::test_n2_*`                    |

The same on virtual time, with all state counted: `../simulation/test_state_attacks.py`.
The bound of the transaction table is shown only there, as no parameter of a script sets it.
"""
