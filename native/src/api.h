// The two exported functions. Everything else of the ABI is reached through the table that MsQuicOpenVersion gives out.
//
// The functions of the table check the kind of each handle and turn every failure of memory into OUT_OF_MEMORY; no C++ exception crosses them. Unless a header says otherwise they may be
// called from any thread, inside callbacks too.
#pragma once

#include <cstdint>

#include "abi.h"

extern "C" {
// version 2 only: otherwise NOT_SUPPORTED. Each success is undone by one MsQuicClose.
__attribute__((visibility("default"))) kwik::abi::Status MsQuicOpenVersion(std::uint32_t version, const void** table);
__attribute__((visibility("default"))) void MsQuicClose(const void* table);
}
