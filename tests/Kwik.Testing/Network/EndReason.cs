using Kwik.Data;

namespace Kwik.Testing;

/// <summary>Why something ended; every call gets an exception of its own.</summary>
internal sealed record EndReason(KwikError Code, KwikErrorSide Side, string Message)
{
    public KwikException ToException(long? streamId = null) => new(Code, Side, Message, streamId: streamId);
}
