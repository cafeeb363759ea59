// The smallest deployment, in one process: a primary and a secondary that have the same content, and a client.
//   Serve                     random bytes in memory
//   Serve FILE                a file
//   Serve --generate LENGTH   bytes that are computed when they are asked for
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Kwik.Data;
using Kwik.Samples.Serve;
using Kwik.Sessions;
using Kwik.Streams;

await using SingleContent content = args switch
{
    ["--generate", string length] => new GeneratedContent(long.Parse(length, CultureInfo.InvariantCulture)),
    [string file] => FileContent.Open(file),
    _ => new MemoryContent(RandomNumberGenerator.GetBytes(16 * 1024 * 1024)),
};
await content.ComputeTreeAsync();
using PrimaryKey signingKey = PrimaryKey.Create();
await using KwikListener secondary = await ListenAsync(ServerRole.Secondary);
await using KwikListener primary = await ListenAsync(ServerRole.Primary);

// The client knows the primary, and nobody else.
await using ClientSession client = await KwikClient.ConnectAsync(
    new KwikClientOptions { Primary = primary.LocalEndPoint, Pins = [primary.Pin] });

// The primary sends it to the secondary, and says what the stream contains. It writes no byte itself.
var session = (PrimarySession)await primary.AcceptSessionAsync();
await session.AddPathAsync(new SecondaryServer("127.0.0.1", secondary.LocalEndPoint.Port, [secondary.Pin]));
await using KwikStream offered = await session.OpenStreamSync();
await offered.OfferContentAsync(content.Offer);

// The client reads an ordinary stream. Every byte has been checked; that they are all the same is shown here once more.
await using KwikStream stream = await client.AcceptStream();
using var received = new ContentHasher();
var buffer = new byte[64 * 1024];
while (await stream.ReadAsync(buffer) is > 0 and int read)
{
    received.Append(buffer.AsSpan(0, read));
}

foreach (PathInfo path in client.GetAllPaths())
{
    Console.WriteLine($"path {path.Id}, {path.Role}: {path.BytesReceived} bytes");
}

bool equal = received.Length == content.Length && received.Finish() == content.Offer.Root;
Console.WriteLine(equal ? "The bytes are equal." : "The bytes are not equal.");
return equal ? 0 : 1;

// A real server has a certificate and a key that outlive it, and a loop around AcceptSessionAsync.
async Task<KwikListener> ListenAsync(ServerRole role) => await KwikListener.ListenAsync(new KwikListenerOptions
{
    Role = role,
    ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
    Certificate = KwikCertificate.CreateSelfSigned(["localhost"], TimeSpan.FromDays(1), DateTimeOffset.UtcNow),
    SigningKey = role == ServerRole.Primary ? signingKey : null,
    TrustedPrimaries = [signingKey.PublicKey],
    ContentProvider = content,
});
