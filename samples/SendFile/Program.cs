// Sends a file on one public stream, and hears beside it, on the stream's error substream, what the receiver has to say.
using System.Globalization;
using System.Net;
using Kwik.Data;
using Kwik.Samples.SendFile;
using Kwik.Sessions;

const string Usage = """
    usage: SendFile                                               tries both sides on this machine
           SendFile receive [ADDRESS:PORT [FOLDER [MAX-BYTES]]]   default: 127.0.0.1:0 received 1073741824
           SendFile send ADDRESS:PORT sha256/PIN FILE
    """;

try
{
    switch (args)
    {
        case []:
            return await TryBothAsync();
        case ["receive"] or ["receive", _] or ["receive", _, _] or ["receive", _, _, _]:
            DirectoryInfo folder = Directory.CreateDirectory(args.ElementAtOrDefault(2) ?? "received");
            long maxBytes = long.Parse(args.ElementAtOrDefault(3) ?? "1073741824", CultureInfo.InvariantCulture);
            await using (KwikListener listener = await ListenAsync(IPEndPoint.Parse(args.ElementAtOrDefault(1) ?? "127.0.0.1:0")))
            {
                Console.WriteLine($"Listening. At the other side: SendFile send {listener.LocalEndPoint} {listener.Pin} FILE");
                await new Receiver(folder.FullName, maxBytes).ServeAsync(listener);
            }

            return 0;
        case ["send", string address, string pin, string file]:
            return await Sender.SendAsync(IPEndPoint.Parse(address), KeyHash.Parse(pin), file) ? 0 : 1;
        default:
            Console.Error.WriteLine(Usage);
            return 2;
    }
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

// Sends one file twice: to a receiver that has room for it, and to one that has room for half of it.
static async Task<int> TryBothAsync()
{
    string file = typeof(object).Assembly.Location;
    long length = new FileInfo(file).Length;
    DirectoryInfo folder = Directory.CreateTempSubdirectory("SendFile-");
    try
    {
        return await TryAsync(length) && !await TryAsync(length / 2) ? 0 : 1;
    }
    finally
    {
        folder.Delete(recursive: true);
    }

    async Task<bool> TryAsync(long maxBytes)
    {
        await using KwikListener listener = await ListenAsync(new IPEndPoint(IPAddress.Loopback, 0));
        _ = new Receiver(folder.CreateSubdirectory($"{maxBytes}").FullName, maxBytes).ServeAsync(listener);
        return await Sender.SendAsync(listener.LocalEndPoint, listener.Pin, file);
    }
}

// A real server has a certificate that outlives it: its key is what senders pin.
static Task<KwikListener> ListenAsync(IPEndPoint endPoint) => KwikListener.ListenAsync(new KwikListenerOptions
{
    Role = ServerRole.Primary,
    ListenEndPoint = endPoint,
    Certificate = KwikCertificate.CreateSelfSigned(["localhost"], TimeSpan.FromDays(1), DateTimeOffset.UtcNow),
});
