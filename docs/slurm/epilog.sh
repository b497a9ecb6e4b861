#!/bin/sh
# Epilog of Slurm: examine the node after a job. An exit code that is not 0 drains the node, with the reason "Epilog error".
# slurm.conf: Epilog=/etc/slurm/epilog.sh. No job waits for it, but the node is "completing" until it has ended.
DOCTOR=/opt/attn-doctor/bin/attn-doctor
TARGET=/opt/yolo/bin/python
LOG=/var/log/attn-doctor-epilog.log
# Slurm gives a epilog few variables: the HOME and the PATH of root stand here.
export HOME="${HOME:-/root}" PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

"$DOCTOR" check --no-trial --quiet --fail-on error --target "$TARGET" --timeout 40 --total-timeout 50 >"$LOG" 2>&1
case $? in
1) exit 1 ;; # a finding of the severity "error": this node is not to run jobs
*) exit 0 ;; # nothing found; or 2, 3, 70: the doctor itself could not answer, which says nothing of the node
esac
