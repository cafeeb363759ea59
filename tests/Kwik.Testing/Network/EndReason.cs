using Kwik.Data;

namespace Kwik.Testing;

/// <summary>Why something ended; every call gets an exception of its own.</summary>
internal sealed record EndReason(KwikError Code, KwikErrorSide Side, string Message, bool OfConnection = false)
{
    /// <summary>A code as it reads after a journey: one that is not in the table is <see cref="KwikError.Internal"/>.</summary>
    public static KwikError Received(KwikError code) => Enum.IsDefined(code) ? code : KwikError.Internal;

    /// <summary>Without a stream id: that property names public streams, of which a transport knows nothing.</summary>
    public KwikException ToException() => new(Code, Side, Message) { EndsConnection = OfConnection };
}
