// The PKCS#7 envelope of a peer's certificates: whatever DER-like bytes its Certificate message had.
#include <gnutls/gnutls.h>

#include <vector>

#include "fuzz.h"
#include "tls.h"

using namespace kwik;
using namespace kwik::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input{data, size};
    std::vector<std::vector<std::uint8_t>> certificates;
    while (!input.empty() && certificates.size() < 20) {
        const Input part = take_part(input);
        certificates.emplace_back(part.begin(), part.end());
    }
    std::vector<gnutls_datum_t> chain;
    for (auto& certificate : certificates) chain.push_back({certificate.data(), static_cast<unsigned>(certificate.size())});
    std::vector<std::uint8_t> encoded;
    const int result = encode_chain(chain, encoded);
    require(result < 0 ? encoded.empty() : !encoded.empty(), "an envelope or an error");
    return 0;
}
