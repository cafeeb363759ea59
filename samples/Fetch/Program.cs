// Fetches one file from a primary server, and from every secondary that the primary names: Fetch HOST PORT PIN PATH
// The other side is, for instance: kwik serve --role primary --listen 127.0.0.1:4433 --root DIR
using System.Globalization;
using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Transfer;

if (args is not [string host, string port, string pin, string path])
{
    Console.Error.WriteLine("usage: Fetch HOST PORT sha256/PIN PATH");
    return 2;
}

await using ClientSession session = await KwikClient.ConnectAsync(new KwikClientOptions
{
    Primary = new DnsEndPoint(host, int.Parse(port, CultureInfo.InvariantCulture)),
    Pins = [KeyHash.Parse(pin)],
});
string target = Path.GetFileName(path);
DownloadResult result = await FileClient.DownloadAsync(session, path, target);
foreach (DownloadSource source in result.Sources)
{
    Console.WriteLine($"path {source.Path.Id}, {source.Path.Role} at {source.Path.EndPoint}: {source.Bytes} bytes");
}

Console.WriteLine($"{target}: {result.Bytes} bytes, SHA-256 {result.Sha256}");
return 0;
