/* SPDX-License-Identifier: MIT */
#ifndef BERTUTILS_VERSION_H
#define BERTUTILS_VERSION_H

#define BERTUTILS_VERSION "0.1.0"
#define BERTUTILS_URL "bertutils"

#endif
