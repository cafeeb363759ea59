// Credential::load: a PKCS#12 store of any bytes, without a password and with one.
#include <memory>
#include <vector>

#include "credential.h"
#include "fuzz.h"

using namespace kwik;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::vector<std::uint8_t> store(data, data + size);
    for (const char* password : {static_cast<const char*>(nullptr), "secret"}) {
        std::shared_ptr<const Credential> credential;
        const std::uint32_t status = Credential::load({.flags = 0x4000, .pkcs12 = store, .password = password}, credential);
        fuzz::require((status == 0) == (credential != nullptr), "a credential or an error");
    }
    return 0;
}
