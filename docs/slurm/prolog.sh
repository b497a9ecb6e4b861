#!/bin/sh
# Prolog of Slurm: examine the node before a job starts. An exit code that is not 0 drains the node and queues the job again.
# slurm.conf: Prolog=/etc/slurm/prolog.sh, and PrologFlags=Alloc, so that it runs when the node is given to the job.
DOCTOR=/opt/attn-doctor/bin/attn-doctor
TARGET=/opt/yolo/bin/python
LOG=/var/log/attn-doctor-prolog.log
# Slurm gives a prolog few variables: the HOME and the PATH of root stand here.
export HOME="${HOME:-/root}" PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

"$DOCTOR" check --no-trial --quiet --fail-on error --target "$TARGET" --timeout 40 --total-timeout 50 >"$LOG" 2>&1
case $? in
1) exit 1 ;; # a finding of the severity "error": this node is not to run jobs
*) exit 0 ;; # nothing found; or 2, 3, 70: the doctor itself could not answer, which says nothing of the node
esac
