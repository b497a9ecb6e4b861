"""List lines in which programs print a serial number without a name beside it: controllers of disks, lsscsi, adb, fastboot, LVM, Jetson."""

from __future__ import annotations

import re

from attn_doctor.report.redact.line_forms import Form

_SERIAL = r"(?=[A-Za-z]{0,30}\d)[A-Z0-9]{8,24}"

FORMS = (
    # MegaCli: model, firmware and serial number stand in one text, in another order for each maker
    Form("serial", ("nquiry",), re.compile(r"(?i)\binquiry(?: data)?[ \t]{0,20}[:=][ \t]{0,40}(?P<one>(?=[^\n]{0,80}\d)[^\s:][^\n]{6,100})")),
    Form("serial", ("/dev/sd", "/dev/nvme", "/dev/sg", "/dev/st"), re.compile(rf"(?m)^[ \t]{{0,4}}\[[N\d]{{1,4}}(?::\d{{1,4}}){{3}}\][^\n]{{10,120}}?[ ](?P<one>{_SERIAL})[ ]{{1,20}}/dev/(?:sd|nvme|sg|st)")),
    Form("serial", ("ata-", "scsi-", "nvme-", "usb-", "mmc-"), re.compile(rf"(?<![\w./-])(?:ata|scsi|nvme|usb|mmc)-[A-Za-z][\w.-]{{3,60}}_(?P<one>{_SERIAL})(?:-part\d{{1,3}}|-\d:\d)?(?![\w])")),
    # `lvs`, `vgdisplay`, `pvdisplay`
    Form("serial", ("UUID", "uuid", "-"), re.compile(r"(?<![\w-])(?P<one>(?=[A-Za-z-]{0,36}\d)(?=[0-9-]{0,36}[A-Za-z])[A-Za-z0-9]{6}(?:-[A-Za-z0-9]{4}){5}-[A-Za-z0-9]{6})(?![\w-])")),
    # Telephones: adb, fastboot, libimobiledevice
    Form("serial", ("attached", "transport_id", "fastboot", "unauthorized"), re.compile(r"(?m)^(?P<one>(?!emulator-|List\b|localhost)(?=[A-Za-z._:-]{0,30}\d)[A-Za-z0-9][A-Za-z0-9._:-]{5,40})[ \t]{1,20}(?:device|unauthorized|offline|recovery|sideload|bootloader|no permissions|fastboot|authorizing)(?=[ \t\r]*$|[ \t]{1,20}(?:product:|usb:|transport_id:|model:|\())")),
    Form("serial", ("adb", "fastboot", "scrcpy", "idevice"), re.compile(r"\b(?:adb|fastboot|scrcpy|idevice\w{2,20}|heimdall)\b[^\n]{0,40}? (?:-s|--serial|-u|--udid)[ =](?P<one>(?!emulator-)(?=[A-Za-z._:-]{0,30}\d)[A-Za-z0-9][A-Za-z0-9._:-]{5,60})")),
    Form("serial", ("-00",), re.compile(r"(?<![\w-])(?P<one>0000[0-9A-F]{4}-00[0-9A-Z]{14})(?![\w-])")),
    Form("serial", ("udid", "UDID", "UniqueDeviceID"), re.compile(r"(?i)\b(?:udid|UniqueDeviceID)[\"']?\s?[:= ]\s?[\"']?(?P<one>[0-9a-f]{40}|[0-9A-F]{8}-[0-9A-F]{16})\b")),
    Form("serial", ("]: [",), re.compile(r"\[(?:ro|persist|gsm|ril|vendor|sys)\.[\w.]{0,30}(?:serial|imei|barcode|iccid)[\w.]{0,12}\]: \[(?P<one>[^\]\n]{4,40})\]")),
    # The number of a chip of Tegra
    Form("serial", ("ECID", "ecid"), re.compile(r"(?i)\b(?:br_?)?(?:ecid|chip_?uid|unique[_ ]chip[_ ]id)\b(?: is)?[ \t:=]{1,4}(?:0x)?(?P<one>(?=[0-9a-f]{0,60}\d)[0-9a-f]{8,64})\b")),
)  # fmt: skip
