"""Accounting: which transactions leave a record, what is in it, and how records reach a table without loss.

The back ends (acc, acc_db, acc_syslog, acc_radius) say what they want (`Wanted`) and where a record goes;
all else is the same for them: `Accountant` watches transactions, `Record` is what was seen of one, `Ledger`
writes rows to a database.
"""

from sipyard.accounting.accountant import Accountant, Verdict, Wanted
from sipyard.accounting.ledger import Ledger
from sipyard.accounting.record import Record

__all__ = ["Accountant", "Ledger", "Record", "Verdict", "Wanted"]
