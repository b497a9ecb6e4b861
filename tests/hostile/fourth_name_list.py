"""A fourth list of names and serial numbers. The marks are those of `fourth_list`: §u§ a user, §F§ a full name, §H§ a machine, §s§ a serial number."""

from __future__ import annotations

LINES = r"""
INFO SecurityManager: SecurityManager: authentication disabled; ui acls disabled; users with view permissions: §u§; groups with view permissions: EMPTY; users with modify permissions: §u§
SecurityManager: users  with view permissions: Set(§u§); groups with view permissions: Set()
drwxr-xr-x   - §u§ supergroup          0 2026-11-02 10:22 /warehouse/coco
# file: /warehouse/coco\n# owner: §u§\n# group: supergroup\nuser::rwx
AccessControlException: Permission denied: user=§u§, access=WRITE, inode="/warehouse":hdfs:supergroup:drwxr-xr-x
application_1764_0012  train-yolo  SPARK  §u§  root.default  RUNNING  UNDEFINED  10%
user:§u§:rwx
setfacl -m u:§u§:rwx /data/coco
A::§u§@lab.example:rxtncy
C:\data NT AUTHORITY\SYSTEM:(OI)(CI)(F)\n        CORP\§u§:(OI)(CI)(M)
 Name: §H§\n ID: 7TRN:IPZB:QYBB:VPBQ:UMPP:KARE:6ZNR:XE6T:7EWV:PKF4:ZOJD:TPYS\n Docker Root Dir: /var/lib/docker
 Architecture: x86_64\n CPUs: 64\n Total Memory: 503.5GiB\n Name: §H§
host:\n  arch: amd64\n  hostname: §H§
ID  HOSTNAME  STATUS\nabc *  §H§  Ready
  hostIP: x\n  nodeName: §H§
jobs.batch is forbidden: User "§u§" cannot create resource "jobs" in API group "batch"
   valid users = §u§, @ml
   force user = §u§
   write list = §u§
user §u§ §u§;
User §u§\nGroup www
ServerName §H§.lab.example
[Service]\nUser=§u§\nExecStart=/usr/bin/x
systemd-run --uid=§u§ --gid=ml python train.py
[program:train]\nuser=§u§\ncommand=python x.py
*/5 * * * * §u§ /usr/bin/python3 /srv/poll.py
CRON[8812]: (§u§) CMD (python3 /srv/poll.py)
systemd-logind[901]: New session 41 of user §u§.
pam_unix(sshd:session): session opened for user §u§(uid=1007) by (uid=0)
sshd[801]: Invalid user §u§ from 10.1.2.3 port 51234
sshd[801]: Failed password for §u§ from 10.1.2.3 port 51234 ssh2
Host box\n  HostName 10.1.2.3\n  User §u§
Host §H§\n  HostName 10.1.2.3
AllowUsers §u§ builder2
§u§ ALL=(ALL) NOPASSWD: ALL
useradd -m -s /bin/bash §u§
usermod -aG docker §u§
su - §u§ -c 'python x.py'
chown -R §u§:ml /data/coco
  41 1007 §u§ seat0 tty2
loginctl enable-linger §u§
§u§ : §u§ docker render video
Login: §u§    Name: §F§
Received: from §H§.lab.example (unknown [10.9.0.3]) by mx.lab.example
Message-ID: <20261130.8812@§H§.lab.example>
X-Originating-IP: [10.20.1.7]\nX-Mailer-Host: §H§
From: §F§ <§u§@lab.example>
Return-Path: <§u§@lab.example>
^a1b2c3d4 (§F§ 2026-11-01 10:00:00 +0100 12) import torch
r812 | §u§ | 2026-11-01 10:00:00 +0100 (Sun, 01 Nov 2026) | 1 line
user:        §F§ <x@y.example>
User name: §u§\nClient name: §H§-main
<RegistrationInfo><Author>CORP\§u§</Author></RegistrationInfo>
<Principal id="Author"><UserId>§u§</UserId></Principal>
Run As User:                          §u§
Account Name:\t\t§u§
User name                    §u§\nFull Name                    x
>§u§              console             1  Active      none   11/30/2026 8:00 AM
python.exe  8812 Console 1 512 K Running CORP\§u§ 0:01:02
Owner: CORP\§u§
/export/coco §H§(rw,sync)
"resource_dir": "/opt/people/§u§/kernels"
vscode-remote://ssh-remote%2B§H§/srv/x
[10:00:00.1] Resolving ssh remote authority 'ssh-remote+§H§'
Deployed to sftp://trainer@§H§:22/opt/pycharm
[I JupyterHub] User §u§ took 3.1 seconds to start
GET /hub/user/§u§/lab 302
https://hub.lab.example/user/§u§/lab/tree
[I 2026-11-30 JupyterHub base:812] User logged in: §u§
Session host: rsession-§u§
Started by user §F§
Building remotely on §H§ (gpu linux) in workspace /srv/jenkins
Agent: §H§ (10.1.2.3)
agent-name: "§H§-1"
Agent machine name: '§H§'
Runner name: '§H§'\nMachine name: 'x'
GITHUB_ACTOR=§u§
"actor": "§u§", "event": "push"
GITLAB_USER_LOGIN=§u§
GITLAB_USER_NAME=§F§
CI_COMMIT_AUTHOR=§F§ <x@y.example>
BUILD_USER=§F§
BUILDKITE_BUILD_CREATOR=§F§
CIRCLE_USERNAME=§u§
TRAVIS_COMMIT_AUTHOR=§F§
slurmd: launch task StepId=8812.0 request from UID:1007 GID:1007 HOST:10.1.2.3 USER:§u§
sacctmgr add user §u§ account=ml
Job <8812>, User <§u§>, Project <default>, Status <RUN>
Started on <§H§>, Execution Home </x>
    Job_Owner = §u§@login.lab.example
Owner = "§u§"
RemoteHost = "slot1@§H§.lab.example"
ray::IDLE, ip=10.1.2.3, actor on §H§
Job submitted by §u§ from §H§
mlflow.user: §u§
'mlflow.user': '§u§'
wandb: Currently logged in as: §u§ (lab-org). Use `wandb login --relogin`
"username": "§u§", "host": "§H§"
events.out.tfevents.1764500000.§H§.8812.0
Initializing distributed: GLOBAL_RANK: 0, MEMBER: 1/8 on §H§
{'type': 'user', 'name': '§u§', 'fullname': '§F§'}
|    0   N/A  N/A  8812  C  /opt/people/§u§/bin/python  512MiB |
8812 C §u§  512MiB  12  0.1  1:02  python train.py
 [0] RTX 4090 | 55C | 812 / 24564 MB | §u§(512M)
python  8812 §u§  mem  REG  259,2  /usr/lib/x.so
/dev/nvidia0:  §u§  8812 F...m python
systemd[8812]: Starting user slice for §u§
UID: 1007 (§u§)
Hostname: §H§
username:       §u§
UserName: §u§
[Hardware Error]: CPER on host §H§
multipass exec §H§ -- ls
aws sts get-session-token --serial-number arn:aws:iam::123456789012:mfa/§u§ --token-code 812345
Default principal: §u§@LAB.EXAMPLE
Enter-PSSession -ComputerName §H§
full address:s:§H§:3389\nusername:s:§u§
DefaultUserName    REG_SZ    §u§
d-i passwd/user-fullname string §F§
§u§@§H§:~/yolo$ python train.py
[§u§@§H§ yolo]$ python train.py
(base) §u§@§H§ yolo % python train.py
§u§@§H§ ~/yolo> python train.py
root@§H§:/srv# nvidia-smi
§u§@§H§\n------------
$ hostname\n§H§
$ whoami\n§u§
> whoami\ncorp\§u§
$ echo $USER\n§u§
$ ls /home\n§u§
§u§ pts/0 2026-11-30 10:00 (10.1.2.3)
§u§   pts/0    10.1.2.3   10:00   2.00s  0.10s  0.01s w
\t8812.pts-0.§H§\t(Detached)
New '§H§:1 (§u§)' desktop is §H§:1
100.101.102.103  §H§   §u§@  linux  active
§H§ (10.1.2.3) at 3c:ec:ef:12:ab:9d [ether] on eno1
Nmap scan report for §H§ (10.1.2.3)
  client-hostname "§H§";
§H§.lab.example.  300 IN A 10.1.2.3
subject=CN = §H§.lab.example
X509v3 Subject Alternative Name: DNS:§H§.lab.example
hostname '§H§' doesn't match 'x.example'
host/§H§.lab.example@LAB.EXAMPLE
§u§@LAB.EXAMPLE: no credentials
up{instance="§H§:9100"} 1
<34>1 2026-11-30T10:00:00Z §H§ app 8812 - - x
Linux 6.8.0-40-generic (§H§) \t11/30/2026 \t_x86_64_\t(64 CPU)
§H§\n    description: Rack Mount Chassis
  Host: §H§ Kernel: 6.8.0
[§H§:08812] MCW rank 0 bound to socket 0[core 0[hwt 0-1]]
[1764500000.123456] [§H§:8812 :0]  parser.c:2033 UCX INFO x
[0] MPI startup(): 0       8812     §H§  {0,1,2,3}
Running on machine: §H§
Host: §H§, AMD EPYC 7763, 64 cores
java.net.UnknownHostException: §H§: Name or service not known
socket.gaierror for host '§H§'
ipv4:10.1.2.3:50051: Failed to connect to remote host: §H§
MongoServerSelectionError: getaddrinfo ENOTFOUND §H§
FATAL:  no pg_hba.conf entry for host "10.1.2.3", user "§u§", database "runs"
FATAL:  password authentication failed for user "§u§"
FATAL:  role "§u§" does not exist
ERROR 1045 (28000): Access denied for user '§u§'@'§H§' (using password: YES)
ORA-01017 for user §u§
tree connect failed for user §u§: NT_STATUS_ACCESS_DENIED
§u§ is not in the sudoers file.
Got permission denied: user §u§ is not in group docker
Disk quotas for user §u§ (uid 1007):
Disk quotas for usr §u§ (uid 1007):
Block limits for user §u§
  §u§||1007||  12.10 GiB||  unlimited
812G\t/export/homes/§u§/runs
-rw-r--r-- 1 §u§ ml 812 Nov 30 10:00 x.pt
-rw-r--r-- §u§/ml  812 2026-11-30 10:00 x.pt
Access: (0644/-rw-r--r--)  Uid: ( 1007/ §u§)   Gid: ( 1007/ ml)
owner=§u§
To: §u§@§H§
8812  train  gpu  §u§  COMPLETED  0:0
UserId=§u§(1007) GroupId=ml(1007)
8812 §u§ R 1:02 §H§
==PROF== Report: /opt/people/§u§/r.ncu-rep
Generated: /nfs/users/§u§/report1.nsys-rep
file:///data1/homes/§u§/mlruns/0
wandb: Run data is saved locally in /nfs/people/§u§/wandb/run-1
comet.com/§u§/yolo/view
owner: §u§
"""

SERIALS = r"""
Drive /c0/e252/s3 Device attributes :\nSN = §s§\nManufacturer Id = ATA
Inquiry Data: SEAGATE ST8000NM0055    SN05§s§
         Serial number                      : §s§
         Serial Number: §s§
[0:0:1:0]    disk    ATA      ST8000NM0055-1RM SN05  §s§  /dev/sdb
/dev/sda: ATA Samsung SSD 870, S/N:§s§, WWN:5-002538-f42b1c0d3, FW:SVT02B6Q, 1.00 TB
smartd[812]: Device: /dev/sdb [SAT], ST8000NM0055, S/N:§s§, FW:SN05
  Unit serial number: §s§
E: ID_SERIAL_SHORT=§s§
usb 1-3: SerialNumber: §s§
  iSerial                 3 §s§
List of devices attached\n§s§\tdevice
List of devices attached\n§s§\tunauthorized
adb -s §s§ shell getprop ro.product.model
fastboot devices\n§s§\tfastboot
[ro.serialno]: [§s§]
  ata-ST8000NM0055-1RM112_§s§  ONLINE       0     0     0
sn        : §s§
Product Serial        : §s§
Asset Tag: §s§
"""

FOLDERS = r"""
/opt/people/§u§/envs/y/bin/python
/nfs/users/§u§/coco
/data1/homes/§u§/x.py
/vol3/staff/§u§/runs
/net/students/§u§/yolo/train.py
/lustre/members/§u§/x
/gpfs/work/§u§/x/y.py
/work/§u§/x/y.py
/pscratch/sd/m/§u§/x
/lustre/scratch/§u§/x.py
/fsx/§u§/x.py
/fsx/home-§u§/x.py
/nas/homes/§u§/x.py
/volume1/homes/§u§/x.py
/volume1/home/§u§/x
/cephfs/users/§u§/x
/gluster/user/§u§/x
/mnt/tank/people/§u§/x.py
/srv/homes/§u§/x
/usr/people/§u§/x
/storage/home/hcoda1/3/§u§/x
/p/home/jusers/§u§/juwels
/mnt/efs/users/§u§/x
/run/media/§u§/DISK/x
/media/§u§/DISK/x
D:\Profiles\§u§\AppData
E:\homes\§u§\x.py
/mnt/d/Users/§u§/x
/home/§u§/snap/x
/var/folders/ab/§l30§/T/x
/auto/home/§u§/x
/auto/users/§u§/x
/afs/lab.example/user/§u§/x
/eos/user/c/§u§/x
/zhome/ab/1/§u§/x
/dcs/pg25/§u§/x
/rhome/§u§/x
/Users/§u§/miniforge3/bin/python
/export/home/§u§/x
/u/§u§/x/y.py
/accounts/§u§/x.py
/hpc/home/§u§/x
/userdata/§u§/x.py
/workspace/users/§u§/x.py
"""
