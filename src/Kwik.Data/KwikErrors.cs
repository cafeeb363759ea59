namespace Kwik.Data;

/// <summary>How codes of the wire become errors.</summary>
internal static class KwikErrors
{
    /// <summary>A peer's code; one that this version does not know reads as Internal.</summary>
    public static KwikError FromWire(ulong code) => Enum.IsDefined((KwikError)code) ? (KwikError)code : KwikError.Internal;
}
