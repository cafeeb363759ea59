using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>Another server that a primary sends its clients to.</summary>
/// <param name="Host">A literal address or a host name, which the client resolves once.</param>
/// <param name="Port">1 to 65535.</param>
/// <param name="Pins">The key that the server must hold; two while it changes its key.</param>
/// <param name="ServerName">Sent as SNI; default: the host.</param>
public sealed record SecondaryServer(string Host, int Port, IReadOnlyList<KeyHash> Pins, string? ServerName = null)
{
    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentException">A value is missing or out of its range; the message names it.</exception>
    public void Validate()
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(Host, nameof(Host));
        ArgumentOutOfRangeException.ThrowIfLessThan(Port, 1, nameof(Port));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Port, 65535, nameof(Port));
        if (Pins.Count is < 1 or > 2)
        {
            throw new ArgumentException("A secondary server is named by one pin, or two while it changes its key.", nameof(Pins));
        }
    }

    /// <summary>HOST:PORT#sha256/BASE64, the form of the command line; an IPv6 address stands in brackets.</summary>
    /// <exception cref="FormatException">The text has another form.</exception>
    public static SecondaryServer Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split('#');
        int colon = parts[0].LastIndexOf(':');
        if (parts.Length is < 2 or > 3 || colon < 1 || !int.TryParse(parts[0].AsSpan(colon + 1), out int port) || port is < 1 or > 65535)
        {
            throw new FormatException($"'{text}' is not of the form HOST:PORT#sha256/PIN.");
        }

        return new(parts[0][..colon].Trim('[', ']'), port, [.. parts[1..].Select(KeyHash.Parse)]);
    }
}
